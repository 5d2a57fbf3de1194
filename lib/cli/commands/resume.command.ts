import { Command } from 'commander';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { forEachView } from '../for-each-view.js';

/** Resumes the refreshing of views by their schedules and after writes. */
export const resumeCommand: CliCommand = {
  define: () =>
    new Command('resume').description('take pause back').argument('<views...>', 'as schema.name'),

  async run(cli: Cli, names: readonly string[]): Promise<CommandResult> {
    await forEachView(cli, names, (refreshes, name) => refreshes.resume(name));
    return { json: { resumed: names }, text: `Resumed: ${names.join(', ')}.` };
  },
};
