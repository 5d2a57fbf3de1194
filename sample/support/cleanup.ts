type Step = () => Promise<void>;

/** An error that the user can fix. Only its message is printed. */
export class Complaint extends Error {}

/** Steps to run when a program ends, by itself or by a signal. */
export class Cleanup {
  /** Runs a program that adds steps. Runs the steps on a signal, or if the program fails. */
  static around(main: (cleanup: Cleanup) => Promise<void>): void {
    const cleanup = new Cleanup();
    cleanup.runOnSignals();
    main(cleanup).catch(async (error: unknown) => {
      // Once the steps run, they are the cause of any failure.
      if (!cleanup.hasBegun) {
        process.exitCode = 1;
        console.error(error instanceof Complaint ? error.message : error);
      }
      await cleanup.run();
    });
  }

  private readonly steps: Step[] = [];
  private running?: Promise<void>;

  private get hasBegun(): boolean {
    return this.running !== undefined;
  }

  add(step: Step): void {
    this.steps.unshift(step);
  }

  /** Runs all steps once, the last added first. If a step fails, the others still run. */
  run(): Promise<void> {
    this.running ??= this.runSteps();
    return this.running;
  }

  /** The first signal runs the steps, and exits with 0 unless one has failed. The second exits at once. */
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
