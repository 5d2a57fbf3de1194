/** Waits for `work`, which must not fail; `false` when the time is over first. */
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

/** Somebody who has asked waits no longer. */
export class AnswerTimeout extends Error {
  constructor(readonly timeoutMs: number) {
    super(`there was no answer within ${timeoutMs} ms`);
  }
}

/**
 * What `work` gives, which goes on when the time is over.
 *
 * @throws AnswerTimeout when the time is over first
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
