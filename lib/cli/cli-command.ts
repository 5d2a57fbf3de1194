import type { Command } from 'commander';
import type { ExitCode } from './exit-code.js';
import type { Output } from './output.js';
import type { Project, ProjectOptions } from './project.js';

/** What a command has to say. */
export interface CommandResult {
  /** @default 0 */
  exitCode?: ExitCode;
  /** The document that `--json` prints. */
  json: unknown;
  /** What people read instead. */
  text: string;
}

/** What a command works with. */
export interface Cli {
  /** For what is said while the command runs; its result is what it returns. */
  readonly output: Output;
  /** Aborted by Ctrl-C. The frame then closes the project, which cancels what it does in the database, and exits with 130. */
  readonly signal: AbortSignal;
  readonly workingDirectory: string;
  /** Opens the data source that the user named; the frame closes it. Nothing is changed in the database. */
  open(options?: ProjectOptions): Promise<Project>;
}

/** One command of `matviews`. */
export interface CliCommand {
  /** Name, arguments, options and help of its own. The frame adds the options that all have. */
  define(): Command;
  /** @param options those of its own and the common ones, by their names in camel case */
  run(cli: Cli, args: readonly string[], options: object): Promise<CommandResult>;
}
