import { describe, expect, it } from '@jest/globals';
import { serverEngine } from '../../../lib/postgres/server-engine.js';

describe('serverEngine', () => {
  it.each([
    ['PostgreSQL 15.20 (Debian 15.20-0+deb12u1) on x86_64-pc-linux-gnu', {}, undefined],
    ['PostgreSQL 16.4 on aarch64-unknown-linux-gnu', { has_citus: true }, 'Citus'],
    ['PostgreSQL 16.4 on aarch64-unknown-linux-gnu', { is_dsql: true }, 'Aurora DSQL'],
    ['PostgreSQL 11.2-YB-2.20.1.0-b0 on x86_64-pc-linux-gnu', {}, 'YugabyteDB'],
    ['CockroachDB CCL v23.1.11 (x86_64-pc-linux-gnu)', {}, 'CockroachDB'],
  ])('recognizes %s, %o', (version, facts, engine) => {
    expect(serverEngine({ version, has_citus: false, is_dsql: false, ...facts })).toBe(engine);
  });
});
