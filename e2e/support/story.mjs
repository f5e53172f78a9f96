// A story is a test whose steps build on each other.

/** Gives `step(name, act)`: a subtest each, and the story ends at the first that fails. */
export function tellIn(t) {
  return async (name, act) => {
    let failure;
    await t.test(name, async (t) => {
      try {
        await act(t);
      } catch (error) {
        failure = error;
        throw error;
      }
    });
    if (failure) throw new Error(`the story ends at: ${name}`);
  };
}

/** Asks again until the answer is truthy, and gives it; `what` says what is waited for. */
export async function until(what, ask, { limit = 180_000, every = 50 } = {}) {
  const end = Date.now() + limit;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`after ${limit / 1000} s still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}
