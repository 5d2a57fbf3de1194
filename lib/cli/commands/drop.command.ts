import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { Consent } from '../consent.js';
import { drop } from '../drop.js';

/** Drops declared views. */
export const dropCommand: CliCommand = {
  define: () =>
    new Command('drop')
      .description('drop declared views; the next sync or boot creates them again')
      .argument('[views...]', 'schema.name, or just the name')
      .option('--all', 'all declared views')
      .option('-y, --yes', 'do not ask'),

  async run(cli, names, { all = false, yes = false }: { all?: boolean; yes?: boolean }) {
    const { source } = await cli.open();
    return drop(source, names, { isAll: all, consent: new Consent(yes, cli.signal) });
  },
};
