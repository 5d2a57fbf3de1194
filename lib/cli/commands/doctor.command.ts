import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { doctor } from '../doctor.js';

/** All that will hurt later. */
export const doctorCommand: CliCommand = {
  define: () =>
    new Command('doctor').description(
      'all that will hurt later, with what mends it: exit code 1 where something fails already',
    ),

  async run(cli) {
    const { source } = await cli.open();
    return doctor(source);
  },
};
