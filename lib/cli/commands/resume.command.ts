import { Command } from 'commander';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';

/** Resumes the refreshing of views by their schedules and after writes. */
export const resumeCommand: CliCommand = {
  define: () =>
    new Command('resume').description('take pause back').argument('<views...>', 'as schema.name'),

  async run(cli: Cli, names: readonly string[]): Promise<CommandResult> {
    const { refreshes, sources } = await cli.open();
    // None is changed where one of the names is wrong.
    names.forEach((name) => sources.find(name));
    for (const name of names) {
      await refreshes.resume(name);
    }
    return { json: { resumed: names }, text: `Resumed: ${names.join(', ')}.` };
  },
};
