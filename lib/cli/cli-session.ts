import type { Log } from '../definition/data-source.context.js';
import type { Cli } from './cli-command.js';
import type { CliSettings } from './cli-options.js';
import { CommandLineUsageError } from './command-line.errors.js';
import { loadDataSource } from './data-source.loader.js';
import type { Output } from './output.js';
import { type Hide, passwordHider } from './passwords.js';
import type { Project, ProjectOptions } from './project.js';

/** One run of a command: opens what it needs, and closes it. */
export class CliSession implements Cli {
  private project: Promise<Project> | undefined;
  /** For printed output. */
  hide: Hide = passwordHider();

  constructor(
    readonly output: Output,
    readonly signal: AbortSignal,
    readonly workingDirectory: string,
    private readonly settings: () => CliSettings,
  ) {}

  open(options: ProjectOptions = {}): Promise<Project> {
    this.project ??= this.openProject(options);
    return this.project;
  }

  async close(): Promise<void> {
    // If it could not be opened, the command has the error.
    const project = await this.project?.catch(() => undefined);
    await project?.close();
  }

  private async openProject(options: ProjectOptions): Promise<Project> {
    const { dataSource: file, module } = this.settings();
    if (file === undefined) {
      throw new CommandLineUsageError('No data source is named.', {
        hint: 'Name one with `-d path/to/data-source.ts`, or with "matviews": { "dataSource": "..." } in package.json.',
      });
    }
    // The engine is loaded only now: help and usage errors don't need it.
    const [dataSource, { Project: Opened }] = await Promise.all([
      loadDataSource(file, (text) => this.output.warn(text)),
      import('./project.js'),
    ]);
    this.hide = passwordHider(dataSource.options);
    return Opened.open(dataSource, { ...module, ...options }, this.log());
  }

  private log(): Log {
    const { output } = this;
    const verbose = (text: string): void => {
      if (output.options.verbose) {
        output.note(this.hide(text));
      }
    };
    const warn = (text: string): void => output.warn(this.hide(text));
    return { error: warn, warn, log: verbose, debug: verbose };
  }
}
