//! What requests hold: JSON, read with JupyterHub's tolerance. Whoever may not ask is refused before
//! anybody looks here.

use lyceum_model::saying::Saying;
use lyceum_web::{ApiError, ApiResult};
use serde_json::{Map, Value};

pub type Fields = Map<String, Value>;

/// The body, if there is one.
pub fn read(bytes: &[u8]) -> ApiResult<Option<Value>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(bytes).map(Some).map_err(|error| {
        ApiError::bad_request(Saying::quote(format!("The body is not JSON: {error}")))
    })
}

/// The fields of an object. Nothing, and what is as good as nothing to JupyterHub (`null`, `false`,
/// zero, empty), has none.
pub fn fields(bytes: &[u8]) -> ApiResult<Fields> {
    match read(bytes)? {
        Some(Value::Object(fields)) => Ok(fields),
        Some(value) if !is_nothing(&value) => Err(no_object()),
        _ => Ok(Fields::new()),
    }
}

/// As [`fields`], where there has to be an object.
pub fn object(bytes: &[u8]) -> ApiResult<Fields> {
    match read(bytes)? {
        Some(Value::Object(fields)) => Ok(fields),
        _ => Err(no_object()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(given) => !given,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

fn no_object() -> ApiError {
    ApiError::bad_request(Saying::quote("The body has to be a JSON object"))
}

/// A field that has another type than it should.
pub fn wrong(field: &str, wanted: &str) -> ApiError {
    ApiError::bad_request(Saying::quote(format!("{field}: give {wanted}")))
}

/// A list of texts, if it is there and not `null`.
pub fn texts(fields: &Fields, field: &str) -> ApiResult<Option<Vec<String>>> {
    let wanted = || wrong(field, "a list of strings, or null");
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(list)) => list
            .iter()
            .map(|one| one.as_str().map(str::to_owned).ok_or_else(wanted))
            .collect::<ApiResult<_>>()
            .map(Some),
        Some(_) => Err(wanted()),
    }
}

/// Yes or no, if it is there.
pub fn flag(fields: &Fields, field: &str) -> ApiResult<Option<bool>> {
    match fields.get(field) {
        None => Ok(None),
        Some(Value::Bool(given)) => Ok(Some(*given)),
        Some(_) => Err(wrong(field, "true or false")),
    }
}

/// No fields but these.
pub fn known(fields: &Fields, names: &[&str]) -> ApiResult<()> {
    match fields.keys().find(|key| !names.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => {
            let key: String = key.chars().take(60).collect();
            Err(ApiError::bad_request(Saying::quote(format!(
                "{key:?} is no field here; there are {}",
                names.join(", ")
            ))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_good_as_nothing_has_no_fields() {
        for body in ["", "null", "false", "0", "0.0", "\"\"", "[]", "{}"] {
            assert_eq!(fields(body.as_bytes()).expect(body).len(), 0, "{body}");
        }
        for body in ["true", "1", "\"x\"", "[0]", " ", "{", "{} {}", "\u{feff}{}"] {
            assert!(fields(body.as_bytes()).is_err(), "{body}");
        }
        assert!(object(b"").is_err() && object(b"[]").is_err() && object(b"{}").is_ok());
        assert!(fields(b"\xff").is_err());
    }

    #[test]
    fn depth_has_an_end() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            assert!(read(deep.as_bytes()).is_err());
        }
    }
}
