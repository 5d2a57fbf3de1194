import { Command } from 'commander';
import path from 'node:path';
import type { CliCommand } from '../cli-command.js';
import { generate } from '../generate.js';
import { wholeNumber } from './flag-values.js';
import { addPlanOptions, type PlanFlags, planPolicy } from './policy-options.js';

interface GenerateFlags extends PlanFlags {
  outputJs?: boolean;
  esm?: boolean;
  timestamp?: number;
  dryRun?: boolean;
}

/** Writes a TypeORM migration. */
export const generateCommand: CliCommand = {
  define: () =>
    addPlanOptions(
      new Command('generate')
        .description('write a TypeORM migration that brings the database in line with the code')
        .argument('<path>', 'folder and name, as src/migrations/ChangeRevenue')
        .option('-o, --outputJs', 'JavaScript instead of TypeScript')
        .option('--esm', 'JavaScript as an ES module instead of CommonJS')
        .option('-t, --timestamp <milliseconds>', 'by which TypeORM orders migrations', wholeNumber)
        .option('--dry-run', 'print the migration instead of writing a file'),
    ),

  async run(cli, [target = ''], { outputJs, esm, timestamp, dryRun, ...options }: GenerateFlags) {
    const { source } = await cli.open();
    return generate(source, path.resolve(cli.workingDirectory, target), {
      ...planPolicy(options),
      language: outputJs === true ? 'js' : 'ts',
      module: esm === true ? 'esm' : 'cjs',
      timestamp,
      dryRun,
    });
  },
};
