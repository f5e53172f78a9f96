// A story is a test whose steps build on each other.

/** Gives `step(name, act)`: a subtest each, and the story ends at the first that fails. */
export function tellIn(t) {
  return async (name, act) => {
    let failure;
    await t.test(name, async () => {
      try {
        await act();
      } catch (error) {
        failure = error;
        throw error;
      }
    });
    if (failure) throw new Error(`the story ends at: ${name}`);
  };
}
