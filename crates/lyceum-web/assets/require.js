// Stands where JupyterHub has its loader: templates configure it and ask for parts that are not
// here, which must not stop the rest of their scripts. What those parts did is in classic.js.
window.require = window.requirejs = Object.assign(() => {}, { config() {} });
window.define = () => {};
