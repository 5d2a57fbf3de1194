/** Runs `work`, then prints how long it took and a description of the result. */
export async function reported<T>(
  work: () => Promise<T>,
  describe: (result: T) => string,
): Promise<T> {
  const startedAtMs = performance.now();
  const result = await work();
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  console.log(`${seconds.padStart(5)} s  ${describe(result)}`);
  return result;
}
