import type { ClientBase, QueryConfig, QueryResultRow } from 'pg';
import type { SessionClient } from './session.js';

/** A connection that has no pipeline, or may not use it: it gets one statement at a time. */
export class OneByOneClient implements SessionClient {
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly client: Pick<ClientBase, 'query'>,
    readonly cutOff: SessionClient['cutOff'],
  ) {}

  async query<Row extends QueryResultRow>(
    config: QueryConfig,
  ): Promise<{ rows: Row[]; command?: string }> {
    const result = this.last.then(() => this.client.query<Row>(config));
    this.last = result.catch(() => undefined);
    return result;
  }
}
