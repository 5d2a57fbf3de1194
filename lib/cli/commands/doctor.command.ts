import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { doctor } from '../doctor.js';
import type { SchemaFlag } from '../schema-option.js';

/** Finds everything that will fail later. */
export const doctorCommand: CliCommand = {
  define: () =>
    new Command('doctor')
      .description('find problems and how to fix them: exit code 1 if something already fails')
      .option('--schema <name>', 'only the views of this schema, and what concerns all'),

  async run(cli, _args, flags: SchemaFlag) {
    const { source } = await cli.open();
    return doctor(source, flags);
  },
};
