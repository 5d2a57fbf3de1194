import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { getViewOptions } from 'nestjs-materialized-views';
import type { DataSource, ObjectLiteral } from 'typeorm';
import { AdoptionYear, adoptionYearQuery } from './adoption-year.view.js';
import { gainedFeatures } from './browser-year.view.js';
import { FEATURE_LAG_QUERY } from './feature-lag.view.js';

/** The part of TypeORM's `FindManyOptions` that this sample needs. */
export interface LiveFindOptions<Row> {
  where: Partial<Row>;
  order: Partial<Record<keyof Row, 'ASC' | 'DESC'>>;
  take?: number;
}

/** Returns the same rows as `find` on a view, but from the tables, as an application without the view would. */
@Injectable()
export class LiveQueryService {
  constructor(@InjectDataSource() private readonly dataSource: DataSource) {}

  async find<Row extends object>(
    view: new () => Row,
    { where, order, take }: LiveFindOptions<Row>,
  ): Promise<Row[]> {
    const metadata = this.dataSource.getMetadata(view);
    const columnOf = (property: string): string =>
      `live.${metadata.findColumnWithPropertyName(property)?.databaseName}`;
    const { sql, parameters } = this.liveQuery(view);
    const query = this.dataSource.createQueryBuilder().from(`(${sql})`, 'live');
    for (const { propertyName } of metadata.columns) {
      query.addSelect(columnOf(propertyName), propertyName);
    }
    for (const [property, value] of Object.entries(where)) {
      query.andWhere(`${columnOf(property)} = :${property}`, { [property]: value });
    }
    for (const [property, direction] of Object.entries<'ASC' | 'DESC' | undefined>(order)) {
      query.addOrderBy(columnOf(property), direction);
    }
    return query.setParameters(parameters).limit(take).getRawMany<Row>();
  }

  private liveQuery(view: new () => object): { sql: string; parameters: ObjectLiteral } {
    // The expression of AdoptionYear reads the view `feature_lag`, so it isn't live.
    const expression =
      view === AdoptionYear
        ? adoptionYearQuery(`(${FEATURE_LAG_QUERY})`)
        : getViewOptions(view)?.expression;
    if (typeof expression === 'string') {
      return { sql: expression, parameters: {} };
    }
    const builder = gainedFeatures(this.dataSource);
    return { sql: builder.getQuery(), parameters: builder.getParameters() };
  }
}
