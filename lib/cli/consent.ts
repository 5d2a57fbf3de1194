import { createInterface } from 'node:readline/promises';
import { UsageError } from './usage.error.js';

/** Whether what cannot be taken back may be done. */
export class Consent {
  /** @param isGiven whether `--yes` was given */
  constructor(
    private readonly isGiven: boolean,
    private readonly input = process.stdin,
    private readonly output = process.stderr,
  ) {}

  /**
   * Asks on a terminal.
   *
   * @param what that is about to be done, in whole sentences
   * @throws UsageError where the answer is no, or where nobody can be asked
   */
  async require(what: string): Promise<void> {
    if (this.isGiven) {
      return;
    }
    if (!this.input.isTTY || !this.output.isTTY) {
      throw new UsageError(`${what}\nNothing has been changed, because nobody can be asked here.`, {
        hint: 'To do it, add --yes.',
      });
    }
    const questions = createInterface({ input: this.input, output: this.output });
    try {
      const answer = await questions.question(`${what}\nGo on? [y/N] `);
      if (!/^y(es)?$/i.test(answer.trim())) {
        throw new UsageError('Nothing has been changed.');
      }
    } finally {
      questions.close();
    }
  }
}
