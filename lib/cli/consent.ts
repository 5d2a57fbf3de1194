import { createInterface } from 'node:readline/promises';
import { CommandLineUsageError } from './command-line.errors.js';

/** Whether what cannot be taken back may be done. */
export class Consent {
  /**
   * @param isGiven whether `--yes` was given
   * @param signal aborted when the user interrupts
   */
  constructor(
    private readonly isGiven: boolean,
    private readonly signal: AbortSignal,
    private readonly input = process.stdin,
    private readonly output = process.stderr,
  ) {}

  /**
   * Asks on a terminal.
   *
   * @param what that is about to be done, in whole sentences
   * @throws CommandLineUsageError where the answer is no, or where nobody can be asked
   */
  async require(what: string): Promise<void> {
    if (this.isGiven) {
      return;
    }
    if (!this.input.isTTY || !this.output.isTTY) {
      throw new CommandLineUsageError(
        `${what}\nNothing has been changed, because nobody can be asked here.`,
        {
          hint: 'To do it, add --yes.',
        },
      );
    }
    const questions = createInterface({ input: this.input, output: this.output });
    try {
      const answer = await questions.question(`${what}\nGo on? [y/N] `, {
        signal: this.signal,
      });
      if (!/^y(es)?$/i.test(answer.trim())) {
        throw new CommandLineUsageError('Nothing has been changed.');
      }
    } finally {
      questions.close();
    }
  }
}
