import type { Command } from 'commander';
import type { ExitCode } from './exit-code.js';
import type { Output } from './output.js';
import type { Project, ProjectOptions } from './project.js';

/** The result of a command. */
export interface CommandResult {
  /** @default 0 */
  exitCode?: ExitCode;
  /** The document that `--json` prints. */
  json: unknown;
  /** What it prints for people instead. */
  text: string;
}

/** What a command works with. */
export interface Cli {
  /** For output while the command runs. The result is what it returns. */
  readonly output: Output;
  /** Aborted by Ctrl-C. The frame then closes the project, which cancels its work in the database, and exits with 130. */
  readonly signal: AbortSignal;
  readonly workingDirectory: string;
  /** Opens the data source that the user named; the frame closes it. Nothing is changed in the database. */
  open(options?: ProjectOptions): Promise<Project>;
}

/** One command of `matviews`. */
export interface CliCommand {
  /** Its name, arguments, options and help. The frame adds the common options. */
  define(): Command;
  /** @param options its own and the common ones, by their names in camel case */
  run(cli: Cli, args: readonly string[], options: object): Promise<CommandResult>;
}
