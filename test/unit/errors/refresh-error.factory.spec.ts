import { describe, expect, it } from '@jest/globals';
import { refreshErrorFrom } from '../../../lib/errors/refresh-error.factory.js';
import { MaterializedViewError, type RefreshError } from '../../../lib/index.js';
import { SessionLost } from '../../../lib/postgres/session.js';

const failure = (code: string): Error =>
  Object.assign(new Error('original'), { code, severity: 'ERROR', detail: 'Key (id)=(7)' });

const mapped = (cause: unknown, elapsedMs = 10): RefreshError =>
  refreshErrorFrom(cause, { view: 'a.b', elapsedMs, statementTimeoutMs: 1_000 });

describe('refreshErrorFrom', () => {
  it.each([
    ['55P03', 'MV_REFRESH_LOCKED', true],
    ['40P01', 'MV_REFRESH_LOCKED', true],
    ['40001', 'MV_REFRESH_LOCKED', true],
    ['25006', 'MV_NOT_PRIMARY', true],
    ['42501', 'MV_INSUFFICIENT_PRIVILEGE', false],
    ['42P01', 'MV_VIEW_MISSING', false],
    ['3F000', 'MV_VIEW_MISSING', false],
    ['42809', 'MV_VIEW_MISSING', false],
    ['21000', 'MV_DUPLICATE_ROWS', false],
    ['23505', 'MV_DUPLICATE_ROWS', false],
    ['42883', 'MV_VIEW_QUERY_FAILED', false],
    ['42703', 'MV_VIEW_QUERY_FAILED', false],
    ['22012', 'MV_VIEW_QUERY_FAILED', false],
    ['53100', 'MV_SERVER_RESOURCES', false],
    ['53200', 'MV_SERVER_RESOURCES', false],
    ['53400', 'MV_SERVER_RESOURCES', false],
    ['53300', 'MV_CONNECTION_FAILED', true],
    ['57P01', 'MV_CONNECTION_FAILED', true],
    ['57P03', 'MV_CONNECTION_FAILED', true],
    ['25P03', 'MV_CONNECTION_FAILED', true],
    ['08006', 'MV_CONNECTION_FAILED', true],
    ['ECONNREFUSED', 'MV_CONNECTION_FAILED', true],
    ['XX000', 'MV_REFRESH_FAILED', false],
  ])('makes %s %s', (sqlState, code, isTransient) => {
    const cause = failure(sqlState);
    const error = mapped(cause);
    expect(error).toBeInstanceOf(MaterializedViewError);
    expect(error).toMatchObject({ code, isTransient, view: 'a.b', cause });
    expect(error.name).toBe(error.constructor.name);
    expect(error.message).toContain(`"a.b"`);
    expect(error.message).toContain(`${sqlState}: original`);
    expect(error.message).not.toContain('Key (id)');
  });

  it('tells a timeout from a cancel by time', () => {
    expect(mapped(failure('57014'), 1_000)).toMatchObject({ code: 'MV_REFRESH_TIMEOUT' });
    expect(mapped(failure('57014'), 999)).toMatchObject({ code: 'MV_REFRESH_CANCELLED' });
  });

  it('knows a lost session, which has no code', () => {
    expect(mapped(SessionLost.from(new Error('Connection terminated unexpectedly')))).toMatchObject(
      {
        code: 'MV_CONNECTION_FAILED',
      },
    );
  });

  it('passes its own errors on', () => {
    const error = mapped(failure('42P01'));
    expect(mapped(error)).toBe(error);
  });
});
