import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { refreshErrorFrom } from '../../../lib/errors/refresh-error.factory.js';
import { MaterializedViewError, type RefreshError } from '../../../lib/index.js';
import { SessionLost } from '../../../lib/postgres/session-lost.js';

const failure = (code: string): Error =>
  Object.assign(new Error('original'), { code, severity: 'ERROR', detail: 'Key (id)=(7)' });

const mapped = (cause: unknown, { isTimeout = false, isOwnStatement = false } = {}): RefreshError =>
  refreshErrorFrom(cause, { view: 'a.b', isTimeout, isOwnStatement });

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
    ['XX000', 'MV_REFRESH_FAILED', false],
    ['55000', 'MV_REFRESH_FAILED', false],
  ])('turns %s into %s', (sqlState, code, isTransient) => {
    const cause = failure(sqlState);
    const error = mapped(cause);
    expect(error).toBeInstanceOf(MaterializedViewError);
    expect(error).toMatchObject({ code, isTransient, view: 'a.b', cause });
    expect(error.name).toBe(error.constructor.name);
    expect(error.message).toContain(`"a.b"`);
    expect(error.message).toContain(`(${sqlState}: `);
    expect(error.message).not.toContain('Key (id)');
  });

  it('distinguishes a timeout from a cancel', () => {
    expect(mapped(failure('57014'), { isTimeout: true })).toMatchObject({
      code: 'MV_REFRESH_TIMEOUT',
    });
    expect(mapped(failure('57014'))).toMatchObject({ code: 'MV_REFRESH_CANCELLED' });
  });

  it.each([
    [undefined, 'Connection terminated unexpectedly'],
    ['ECONNREFUSED', 'connect ECONNREFUSED'],
    ['EAI_AGAIN', 'getaddrinfo EAI_AGAIN'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'Hostname does not match'],
    ['ECONNREFUSED', ''],
  ])('takes an error that the server did not send for a transport failure: %s', (code, message) => {
    const error = mapped(SessionLost.from(Object.assign(new Error(message), { code })));
    expect(error).toMatchObject({ code: 'MV_CONNECTION_FAILED', isTransient: true });
    expect(error.message).toContain(message || code);
  });

  it.each([
    ['42P01', 'MV_REFRESH_FAILED', 'own tables'],
    ['23505', 'MV_REFRESH_FAILED', 'own tables'],
    ['42501', 'MV_INSUFFICIENT_PRIVILEGE', 'USAGE on the schema `stateSchema`'],
    ['55P03', 'MV_REFRESH_LOCKED', 'lockTimeout'],
  ])("explains %s for the library's own tables", (sqlState, code, message) => {
    const error = mapped(failure(sqlState), { isOwnStatement: true });
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(message);
  });

  it('passes its own errors on', () => {
    const error = mapped(failure('42P01'));
    expect(mapped(error)).toBe(error);
  });

  it('keeps row data out of printed errors, but readable by name', () => {
    const error = mapped(failure('23505'));
    expect(error.cause).toMatchObject({ detail: 'Key (id)=(7)', originalMessage: 'original' });
    expect(error.message).toContain('23505: unique violation (');
    for (const text of [inspect(error), inspect(error, { customInspect: false })]) {
      expect(text).not.toContain('Key (id)');
      expect(text).not.toContain('original');
    }
    expect(JSON.stringify(error.cause)).not.toContain('Key (id)');
  });

  it.each<[string, object, boolean]>([
    ['a lock that is not to be had', { code: '55P03' }, true],
    ['the same from a function', { code: '55P03', where: 'PL/pgSQL function f()' }, false],
    ['what is in the statement', { code: '42703', position: '8' }, true],
    ['what is in dynamic SQL', { code: '42703', internalPosition: '8', internalQuery: 'x' }, false],
    ['a value that is cast to a name', { code: '42P01' }, false],
    ['a table that may not be read', { code: '42501', routine: 'aclcheck_error' }, true],
    ['another refusal', { code: '42501', routine: 'check_role' }, false],
    ['an internal error', { code: 'XX000' }, false],
    ["a code of a function's own", { code: 'AB123' }, false],
    ['no code', { code: undefined }, false],
  ])('shows the text of %s only if it cannot hold row data', (_, fields, isShown) => {
    const error = mapped(Object.assign(failure('00000'), fields));
    expect(error.message.includes('original')).toBe(isShown);
    expect(inspect(error).includes('original')).toBe(isShown);
  });

  it('names the declared index that has a duplicate key', () => {
    const cause = Object.assign(failure('23505'), { constraint: 'a_id' });
    const context = { view: 'a.b', isTimeout: false, isOwnStatement: false };
    expect(refreshErrorFrom(cause, { ...context, indexes: ['a_id'] }).message).toContain(
      ', in index "a_id" (23505',
    );
    expect(refreshErrorFrom(cause, { ...context, indexes: ['b_id'] }).message).not.toContain(
      'a_id',
    );
  });

  it('accepts a frozen cause', () => {
    const frozen = Object.freeze(failure('23505'));
    expect(mapped(frozen).cause).toBe(frozen);
  });
});
