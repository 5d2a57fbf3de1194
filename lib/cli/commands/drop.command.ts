import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { Consent } from '../consent.js';
import { drop } from '../drop.js';
import { inSchemaOf, type SchemaFlag, schemaOption } from '../schema-option.js';

interface DropFlags extends SchemaFlag {
  all?: boolean;
  yes?: boolean;
}

/** Drops declared views. */
export const dropCommand: CliCommand = {
  define: () =>
    new Command('drop')
      .description('drop declared views; the next sync or boot creates them again')
      .argument('[views...]', 'schema.name, or just the name')
      .addOption(schemaOption())
      .option('--all', 'all declared views')
      .option('-y, --yes', 'do not ask'),

  async run(cli, given, flags: DropFlags) {
    const { source } = await cli.open();
    const { all = false, yes = false } = flags;
    const names = inSchemaOf(given, flags);
    return drop(source, names, {
      isAll: all,
      schema: flags.schema,
      consent: new Consent(yes, cli.signal),
    });
  },
};
