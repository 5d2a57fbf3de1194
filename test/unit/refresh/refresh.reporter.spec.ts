import { describe, expect, it } from '@jest/globals';
import type { DataSourceContext } from '../../../lib/definition/data-source.context.js';
import { NotPrimaryError, RefreshLockError } from '../../../lib/errors/refresh.errors.js';
import { callRequest } from '../../../lib/refresh/occasions.js';
import type { RefreshedResult } from '../../../lib/refresh/refresh-result.js';
import { RefreshReporter } from '../../../lib/refresh/refresh.reporter.js';
import { declared } from '../../support/schema-fixtures.js';

describe('failed attempts that are retried', () => {
  it('are logged as a warning once for each reason, until one succeeds', () => {
    const warnings: string[] = [];
    const silent = (): void => undefined;
    const reporter = new RefreshReporter({
      name: 'default',
      log: {
        log: silent,
        debug: silent,
        error: silent,
        warn: (each: string) => warnings.push(each),
      },
      events: { publish: silent },
    } as unknown as DataSourceContext);
    const request = callRequest(
      declared('a'),
      { mode: { choice: 'auto' }, trigger: 'demand' } as never,
      {} as never,
    );
    const fail = (error: NotPrimaryError | RefreshLockError): void =>
      reporter.failed(error, request, { attempt: 1, retryInMs: 5 });
    fail(new NotPrimaryError('no primary'));
    fail(new NotPrimaryError('still none'));
    fail(new RefreshLockError('locked'));
    reporter.finished({ view: 'public.a', outcome: 'refreshed' } as RefreshedResult, request);
    fail(new RefreshLockError('locked again'));
    expect(warnings).toEqual(
      ['no primary', 'locked', 'locked again'].map((reason) => expect.stringContaining(reason)),
    );
  });
});
