import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { init } from '../init.js';

/** What to add to an application. */
export const initCommand: CliCommand = {
  define: () =>
    new Command('init')
      .description('print what to add to the Nest application in this folder')
      .option('--write', 'edit its files; installs no packages'),

  run: (cli, _args, { write = false }: { write?: boolean }) =>
    Promise.resolve(init(cli.workingDirectory, write)),
};
