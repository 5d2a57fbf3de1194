import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { doctor } from '../doctor.js';

/** Finds everything that will fail later. */
export const doctorCommand: CliCommand = {
  define: () =>
    new Command('doctor').description(
      'find problems and how to fix them: exit code 1 if something already fails',
    ),

  async run(cli) {
    const { source } = await cli.open();
    return doctor(source);
  },
};
