import { describe, expect, it } from '@jest/globals';
import { statusErrorFrom } from '../../../lib/errors/status-error.factory.js';
import { PoolStopped } from '../../../lib/postgres/connection-pool.js';
import { StatusError, ViewNotPopulatedError } from '../../../lib/errors/status.errors.js';

const refusal = (code: string): Error =>
  Object.assign(new Error('said the server'), { code, severity: 'ERROR', detail: 'Key (x)=(1)' });

describe('statusErrorFrom', () => {
  it.each([
    ['42P01', /is missing from the database .42P01: undefined table .*`stateSchema`/],
    ['42501', /a privilege is missing/],
    ['55P03', /stayed locked for too long.*lockTimeout/],
    ['57014', /took too long, or was cancelled.*statementTimeout/],
    ['57P01', /the connection failed or was lost/],
    ['22012', /PostgreSQL refused it .22012: said the server/],
    [
      '22P02',
      /PostgreSQL refused it .22P02: invalid text representation .PostgreSQL's text may hold row data/,
    ],
  ])('explains %s', (code, message) => {
    const cause = refusal(code);
    const error = statusErrorFrom(cause, 'read the status', 'public.v');
    expect(error).toBeInstanceOf(StatusError);
    expect(error.message).toMatch(/^Could not read the status of materialized view "public.v": /);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('Key');
    expect(error).toMatchObject({ code: 'MV_STATUS_FAILED', view: 'public.v', cause });
  });

  it('says that the application is stopping', () => {
    expect(statusErrorFrom(new PoolStopped('stopped'), 'compare the rows')).toMatchObject({
      code: 'MV_STATUS_FAILED',
      message: 'Could not compare the rows: the application is stopping (stopped).',
    });
  });

  it('passes errors of the library on unchanged', () => {
    const error = new ViewNotPopulatedError('empty');
    expect(statusErrorFrom(error, 'compare the rows')).toBe(error);
  });
});
