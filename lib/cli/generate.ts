import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ManagedDataSource } from '../engine/managed-data-source.js';
import type { MigrationOptions } from '../schema/migration-writer.js';
import type { PlanPolicy } from '../schema/schema-options.js';
import type { CommandResult } from './cli-command.js';

export interface GenerateOptions extends Omit<MigrationOptions, 'name'>, PlanPolicy {
  /** Whether to only print what would be written. */
  dryRun?: boolean;
}

/**
 * Writes a TypeORM migration that makes the database match the code.
 *
 * @param target folder and name, as `src/migrations/ChangeRevenue`
 */
export async function generate(
  source: ManagedDataSource,
  target: string,
  { dryRun = false, ...options }: GenerateOptions,
): Promise<CommandResult> {
  const file = await source.schema.generateMigration({ ...options, name: path.basename(target) });
  if (file === undefined) {
    const text = 'Nothing to generate: the database matches the code.';
    return { text, json: { path: null } };
  }
  if (dryRun) {
    return { text: file.source, json: { path: null, source: file.source } };
  }
  const folder = path.dirname(target);
  const written = path.join(folder, file.fileName);
  await mkdir(folder, { recursive: true });
  await writeFile(written, file.source, { flag: 'wx' });
  return { text: `Written: ${written}`, json: { path: written } };
}
