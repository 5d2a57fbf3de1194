import { ConsoleLogger } from '@nestjs/common';

/** Prints `log` messages of the library only, but all warnings and errors. */
export class DemoLogger extends ConsoleLogger {
  override log(message: unknown, ...optionalParams: unknown[]): void {
    if (optionalParams.at(-1) === 'MaterializedViews') {
      console.log(`         ${String(message)}`);
    }
  }
}
