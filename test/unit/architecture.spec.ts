import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A room is a folder of lib. It may import from itself and these rooms. `''` is the root, with the exports. */
const MAY_IMPORT: Record<string, string[]> = {
  postgres: [],
  errors: ['postgres'],
  definition: ['errors', 'postgres'],
  graph: ['postgres'],
  tracking: ['graph', 'definition', 'errors', 'postgres'],
  schema: ['tracking', 'graph', 'definition', 'errors', 'postgres'],
  refresh: ['schema', 'tracking', 'graph', 'definition', 'errors', 'postgres'],
  status: ['refresh', 'tracking', 'definition', 'errors', 'postgres'],
  introspection: ['definition', 'errors', 'postgres'],
  schedule: ['status', 'refresh', 'tracking', 'graph', 'definition', 'errors', 'postgres'],
  engine: [
    ...['schedule', 'status', 'refresh', 'schema', 'introspection', 'tracking'],
    ...['definition', 'errors', 'postgres'],
  ],
  nest: ['engine', 'schedule', 'definition', 'errors'],
  cli: [
    ...['engine', 'introspection', 'status', 'refresh', 'schema', 'tracking', 'graph'],
    ...['definition', 'errors', 'postgres', 'schematics'],
  ],
  metrics: ['engine', 'status', 'refresh', 'errors', 'postgres'],
  dashboard: ['nest', 'engine', 'introspection', 'status', 'schema', 'definition', 'errors'],
  health: ['nest', 'engine', 'status', 'definition', 'errors'],
  opentelemetry: ['metrics', 'engine', 'refresh', 'schema', 'definition', 'postgres'],
  prometheus: ['metrics', 'engine', 'definition'],
  testing: ['nest', 'engine', 'status', 'refresh', 'definition', 'errors', 'postgres'],
  // `nest add` and `matviews init`: they edit files, and no application loads them.
  schematics: [],
  '': [
    ...['nest', 'engine', 'status', 'refresh', 'schema', 'introspection', 'tracking'],
    ...['definition', 'errors'],
  ],
};

/** The rooms that may import Nest. */
const WITH_NEST = ['nest', 'testing', 'schematics', 'health', 'dashboard'];

/** Optional packages, and the only room that may name each. */
const OPTIONAL: Record<string, string> = {
  '@dagrejs/dagre': 'dashboard',
  '@nestjs/terminus': 'health',
  '@nestjs/testing': 'testing',
  '@opentelemetry/api': 'opentelemetry',
  cronstrue: 'dashboard',
  'prom-client': 'prometheus',
};

const files = readdirSync('lib', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => path.posix.join('lib', file.replaceAll('\\', '/')));

const importsOf = (file: string): string[] =>
  [...readFileSync(file, 'utf8').matchAll(/(?:from|import|import\() ?'(\.[^']+)\.js'/g)].map(
    (match) => path.posix.join(path.posix.dirname(file), `${match[1]}.ts`),
  );

/** A subfolder belongs to the room that it is in. */
const roomOf = (file: string): string => file.split('/').slice(1, -1)[0] ?? '';

describe('the folders of lib', () => {
  it.each(files)('%s imports only from below', (file) => {
    const room = roomOf(file);
    for (const imported of importsOf(file)) {
      expect(imported).not.toBe('lib/index.ts');
      const isAllowed =
        roomOf(imported) === room || MAY_IMPORT[room]?.includes(roomOf(imported)) === true;
      expect({ file, imported, isAllowed }).toEqual({ file, imported, isAllowed: true });
    }
  });

  it.each(Object.entries(MAY_IMPORT))(
    '%s/ may import only the rooms that it does import',
    (room, may) => {
      const imported = files.filter((file) => roomOf(file) === room).flatMap(importsOf);
      const rooms = new Set(imported.map(roomOf));
      expect(may.filter((each) => !rooms.has(each))).toEqual([]);
    },
  );

  it('needs Nest only in nest/ and in what is built on it', () => {
    const withNest = files.filter(
      (file) =>
        !WITH_NEST.includes(roomOf(file)) && /from '@nestjs\//.test(readFileSync(file, 'utf8')),
    );
    expect(withNest).toEqual([]);
  });

  it.each(Object.entries(OPTIONAL))('names %s only in %s/, types included', (name, room) => {
    const naming = files.filter((file) => readFileSync(file, 'utf8').includes(`'${name}'`));
    expect([...new Set(naming.map(roomOf))]).toEqual([room]);
  });

  it('has no file at the root except the list of exports', () => {
    expect(files.filter((file) => roomOf(file) === '')).toEqual(['lib/index.ts']);
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
