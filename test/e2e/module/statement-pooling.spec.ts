import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RefreshService, SchemaSyncError } from '../../../lib/index.js';
import { PgBouncer } from '../../support/pgbouncer.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';

const view = { schema: 'Odd schema', name: 'a "view"', expression: 'SELECT 1 AS id' };
const SAID = /transaction blocks not allowed in statement pooling mode/;

describe('PgBouncer in statement mode', () => {
  let database: TestDatabase;
  let pgBouncer: PgBouncer;
  let releases: Releases;

  beforeEach(async () => {
    database = await TestDatabase.create();
    pgBouncer = await PgBouncer.before(database.directUrl, { poolMode: 'statement' });
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
    await pgBouncer.stop();
    await database.drop();
  });

  const pooled = (): { url: string } => ({ url: pgBouncer.urlOf(database.directUrl) });
  const failureOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error: unknown) => error,
    );

  it.each(['create', 'verify', true] as const)('fails the boot: %p', async (synchronize) => {
    const failure = await failureOf(releases.start([view], { synchronize }, pooled()));
    expect(failure).toBeInstanceOf(SchemaSyncError);
    expect(String(failure)).toMatch(SAID);
  });

  it('makes calls fail in an application that has booted despite it', async () => {
    await releases.start([view]);
    await releases.start([view], { synchronize: false }, pooled());
    expect(releases.warnings.join('\n')).toMatch(SAID);
    const refreshes = releases.get(RefreshService);
    const failures = await Promise.all([
      failureOf(refreshes.refresh('Odd schema.a "view"')),
      failureOf(refreshes.status('Odd schema.a "view"')),
    ]);
    for (const failure of failures) {
      expect(String(failure)).toMatch(SAID);
    }
  });
});
