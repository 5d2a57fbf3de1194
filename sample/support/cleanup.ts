type Step = () => Promise<void>;

/** What the reader of the terminal can help: its message is all that is shown. */
export class Complaint extends Error {}

/** What is to be closed at the end, whether it comes by itself or by a signal. */
export class Cleanup {
  /** Runs a program that adds what is to be closed; closes it all on a signal or when the program fails. */
  static around(main: (cleanup: Cleanup) => Promise<void>): void {
    const cleanup = new Cleanup();
    cleanup.runOnSignals();
    main(cleanup).catch(async (error: unknown) => {
      // What fails while everything is being closed fails because of that.
      if (!cleanup.hasBegun) {
        process.exitCode = 1;
        console.error(error instanceof Complaint ? error.message : error);
      }
      await cleanup.run();
    });
  }

  private readonly steps: Step[] = [];
  private running?: Promise<void>;

  /** Has begun, so that what fails now fails because of it. */
  private get hasBegun(): boolean {
    return this.running !== undefined;
  }

  add(step: Step): void {
    this.steps.unshift(step);
  }

  /** Closes everything once, the last added first; a step that fails does not keep the others from running. */
  run(): Promise<void> {
    this.running ??= this.runSteps();
    return this.running;
  }

  /** On the first signal closes everything and exits with 0; on the second exits at once. */
  private runOnSignals(): void {
    const stop = (): void => {
      if (this.hasBegun) {
        process.exit(130);
      }
      console.log('\nStopping.');
      void this.run().finally(() => process.exit());
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
  }

  private async runSteps(): Promise<void> {
    for (const step of this.steps) {
      try {
        await step();
      } catch (error) {
        process.exitCode = 1;
        console.error(error);
      }
    }
  }
}
