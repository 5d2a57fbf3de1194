import { ConsoleLogger } from '@nestjs/common';

/** Of all that is merely worth a note, shows what the library says; warnings and errors of everyone. */
export class DemoLogger extends ConsoleLogger {
  override log(message: unknown, ...optionalParams: unknown[]): void {
    if (optionalParams.at(-1) === 'MaterializedViews') {
      console.log(`         ${String(message)}`);
    }
  }
}
