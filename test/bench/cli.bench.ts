import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { SchemaProject } from '../support/schema-project.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark } from './benchmark.js';
import { sideBySide, type Way } from './side-by-side.js';

const run = promisify(execFile);

const VIEW_COUNT = 20;
const ROUNDS = 7;

const TYPEORM = path.resolve('node_modules/typeorm/cli.js');
const MATVIEWS = path.resolve('dist/esm/cli/bin.js');
const QUERY = 'typeorm query';

export const cliBenchmark: Benchmark = {
  name: 'cli',
  description: 'processes of the command line, from start to end, beside those of TypeORM',
  run: (log) =>
    withDatabase(async (database) => {
      const project = await SchemaProject.create(database.url);
      try {
        await project.declare(
          Array.from({ length: VIEW_COUNT }, (_, index) => ({
            name: `view_${index}`,
            expression: 'SELECT 1 AS id',
            columns: ['id'],
          })),
        );
        const command = (name: string, program: string, ...args: string[]): Way => ({
          name,
          call: () =>
            run(process.execPath, [program, ...args], {
              cwd: project.folder,
              env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: database.url },
            }),
        });
        const dataSource = ['-d', 'data-source.js'];
        await command('', MATVIEWS, 'sync').call();
        log('commands');
        const comparison = await sideBySide({
          title: `A data source with ${VIEW_COUNT} views`,
          ways: [
            command(QUERY, TYPEORM, 'query', 'SELECT 1', ...dataSource),
            command('typeorm schema:log', TYPEORM, 'schema:log', ...dataSource),
            command('matviews list', MATVIEWS, 'list'),
            command('matviews status', MATVIEWS, 'status'),
            command('matviews check', MATVIEWS, 'check'),
          ],
          baselines: [QUERY],
          rounds: ROUNDS,
          callsPerRound: 1,
          warmUpCalls: 1,
        });
        return { facts: await serverFacts(database), comparisons: [comparison] };
      } finally {
        await project.remove();
      }
    }),
};
