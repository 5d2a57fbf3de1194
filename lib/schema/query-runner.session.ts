import type { QueryResultRow } from 'pg';
import type { QueryRunner } from 'typeorm';
import { withItsSettings } from '../postgres/own-settings.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { Statements } from '../postgres/statements.js';

/** The library's statements on one of the application's connections. */
export class QueryRunnerSession extends Statements {
  constructor(private readonly queryRunner: QueryRunner) {
    super();
  }

  async query<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]> {
    let rows: Row[] = [];
    for (const each of withItsSettings(statement)) {
      const result = (await this.queryRunner.query(each.text, each.values)) as Row[];
      rows = each === statement ? result : rows;
    }
    return rows;
  }
}
