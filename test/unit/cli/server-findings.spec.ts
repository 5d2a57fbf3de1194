import { describe, expect, it } from '@jest/globals';
import { serverFindings } from '../../../lib/cli/doctor/server.findings.js';
import type { ServerFactsRow } from '../../../lib/postgres/doctor.sql.js';

const FACTS: ServerFactsRow = {
  version: 180_000,
  version_name: '18.0',
  role: 'app',
  database_name: 'shop',
  max_connections: 100,
  reserved_connections: 3,
  used_connections: 90,
  settings: null,
};

const NOW = new Date('2026-01-01T00:00:00Z');

describe('what doctor reports about the server', () => {
  it('counts the connections that are left: it needs a pool, and one for bookkeeping', () => {
    expect(serverFindings(FACTS, 6, NOW)).toEqual([]);
    const [finding] = serverFindings(FACTS, 7, NOW);
    expect(finding).toMatchObject({
      code: 'connections',
      message: expect.stringContaining(
        '90 of 100 connections are in use and 7 are free',
      ) as unknown,
      fix: expect.stringContaining('ALTER SYSTEM SET max_connections = 200;') as unknown,
    });
  });

  it.each([
    [180_000, '2030-11-14T12:00:00Z', undefined],
    [180_000, '2030-11-15T12:00:00Z', 'warning'],
    [130_000, '2026-01-01T00:00:00Z', 'warning'],
    [120_000, '2026-01-01T00:00:00Z', 'error'],
    // Nothing is reported about a version that this release doesn't know.
    [190_000, '2040-01-01T00:00:00Z', undefined],
  ])('says that version %i is old on %s: %s', (version, now, severity) => {
    const [finding] = serverFindings({ ...FACTS, version }, 1, new Date(now));
    expect(finding?.severity).toBe(severity);
  });

  it.each([
    ['statement_timeout', '5min', '0'],
    ['transaction_timeout', '1h', '0ms'],
    ['temp_file_limit', '1GB', '-1'],
    ['session_replication_role', 'replica', 'origin'],
    ['default_transaction_read_only', 'on', 'off'],
    ['row_security', 'off', 'on'],
  ])('reports %s = %s, and not = %s', (name, bad, good) => {
    const reset = `ALTER ROLE app RESET ${name}`;
    const settings = [bad, good].map((value) => ({ name, value, reset }));
    const found = serverFindings({ ...FACTS, settings }, 1, NOW);
    expect(found).toMatchObject([{ code: 'setting', fix: `${reset};` }]);
    expect(found[0]?.message).toContain(JSON.stringify(bad));
  });
});
