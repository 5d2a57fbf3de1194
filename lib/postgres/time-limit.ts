/** Waits for `work`, which must not fail; `false` if the time is over first. */
export async function isDoneWithin(work: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const isOver = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false);
  });
  try {
    return await Promise.race([work.then(() => true), isOver]);
  } finally {
    clearTimeout(timer);
  }
}

/** The caller waits no longer. */
export class AnswerTimeout extends Error {
  constructor(readonly timeoutMs: number) {
    super(`there was no answer within ${timeoutMs} ms`);
  }
}

/**
 * The result of `work`, which goes on if the time is over.
 *
 * @throws AnswerTimeout if the time is over first
 */
export async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const isOver = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AnswerTimeout(timeoutMs)), timeoutMs);
  });
  try {
    return await Promise.race([work, isOver]);
  } finally {
    clearTimeout(timer);
  }
}
