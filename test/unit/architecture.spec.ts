import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Which rooms a room may import from, beside itself and the files at the root of lib that name options. */
const MAY_IMPORT: Record<string, string[]> = {
  postgres: [],
  errors: ['postgres'],
  definition: ['errors', 'postgres'],
  events: [],
  freshness: ['definition', 'errors', 'postgres'],
  schema: ['events', 'freshness', 'definition', 'errors', 'postgres'],
  refresh: ['schema', 'freshness', 'events', 'definition', 'errors', 'postgres'],
  schedule: ['refresh', 'freshness', 'events', 'definition', 'errors', 'postgres'],
};

/** The root files that rooms below may use: what the application was configured with, and work in the background. */
const SHARED_ROOT_FILES = new Set([
  'lib/duration.ts',
  'lib/module-registrations.ts',
  'lib/materialized-views.module-definition.ts',
  'lib/materialized-views.options.ts',
  'lib/upkeep.ts',
]);

const files = readdirSync('lib', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => path.posix.join('lib', file.replaceAll('\\', '/')));

const importsOf = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/from '(\.[^']+)\.js'/g)].map((match) =>
    path.posix.join(path.posix.dirname(file), `${match[1]}.ts`),
  );

const roomOf = (file: string): string => file.split('/').slice(1, -1).join('/');

describe('the rooms of lib', () => {
  it.each(files)('%s imports only from below', (file) => {
    const room = roomOf(file);
    const allowed = MAY_IMPORT[room];
    for (const imported of importsOf(file)) {
      expect(imported).not.toBe('lib/index.ts');
      if (room !== '' && roomOf(imported) !== room) {
        const isAllowed =
          allowed?.includes(roomOf(imported)) ||
          (room !== 'postgres' && room !== 'errors' && SHARED_ROOT_FILES.has(imported));
        expect({ file, imported, isAllowed }).toEqual({ file, imported, isAllowed: true });
      }
    }
  });

  it('keeps SQL in postgres/*.sql.ts', () => {
    const withSql = files.filter(
      (file) =>
        !file.endsWith('.sql.ts') &&
        /['"`](SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|REFRESH|GRANT|SET LOCAL|BEGIN|COMMIT) /.test(
          readFileSync(file, 'utf8').replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, ''),
        ),
    );
    expect(withSql).toEqual([]);
  });
});
