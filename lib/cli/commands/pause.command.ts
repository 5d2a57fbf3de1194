import { Command } from 'commander';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';

/** Pauses the refreshing of views by their schedules and after writes. */
export const pauseCommand: CliCommand = {
  define: () =>
    new Command('pause')
      .description('stop refreshing views by themselves, in all processes')
      .argument('<views...>', 'as schema.name'),

  async run(cli: Cli, names: readonly string[]): Promise<CommandResult> {
    const { refreshes, sources } = await cli.open();
    // None is changed where one of the names is wrong.
    names.forEach((name) => sources.find(name));
    for (const name of names) {
      await refreshes.pause(name);
    }
    return { json: { paused: names }, text: `Paused: ${names.join(', ')}.` };
  },
};
