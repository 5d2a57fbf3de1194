import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { CommandLineUsageError } from './command-line.errors.js';

/** Asks whether something irreversible may be done. */
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
   * Asks for confirmation on a terminal.
   *
   * @param what what is about to be done, in whole sentences
   * @throws CommandLineUsageError if the answer is no, or there is no terminal
   */
  async require(what: string): Promise<void> {
    if (this.isGiven) {
      return;
    }
    if (!this.input.isTTY || !this.output.isTTY) {
      throw new CommandLineUsageError(
        `${what}\nNothing has been changed, because there is no terminal to ask for confirmation.`,
        {
          hint: 'Add --yes to confirm.',
        },
      );
    }
    const answer = await this.ask(`${what}\nGo on? [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) {
      throw new CommandLineUsageError('Nothing has been changed.');
    }
  }

  /** The line that is typed; an empty one for Ctrl-D. */
  private async ask(question: string): Promise<string> {
    // With `terminal` it would keep Ctrl-C from the process.
    const questions = createInterface({ input: this.input, output: this.output, terminal: false });
    const ended = once(questions, 'close').then(() => '');
    try {
      return await Promise.race([questions.question(question, { signal: this.signal }), ended]);
    } finally {
      questions.close();
    }
  }
}
