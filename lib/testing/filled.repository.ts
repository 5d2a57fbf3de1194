import { isDeepStrictEqual } from 'node:util';
import {
  type DataSource,
  type FindManyOptions,
  type FindOneOptions,
  FindOperator,
  type FindOptionsWhere,
  type ObjectLiteral,
  Repository,
} from 'typeorm';
import { IN_SCHEMA } from '../definition/in-schema.js';
import type { ViewClass } from '../definition/view-class.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';

type Where = FindOptionsWhere<ObjectLiteral> | FindOptionsWhere<ObjectLiteral>[];

/**
 * A repository that reads rows from a test. It supports `where` with values and `In(...)`, `order` by columns, `skip`
 * and `take`. Anything else needs a database.
 */
export class FilledRepository extends Repository<ObjectLiteral> {
  constructor(
    view: ViewClass,
    private readonly rows: readonly object[],
    dataSource: DataSource,
  ) {
    super(view, dataSource.manager);
  }

  /** Every schema has the same rows. */
  [IN_SCHEMA](): this {
    return this;
  }

  override find(options: FindManyOptions<ObjectLiteral> = {}): Promise<ObjectLiteral[]> {
    const { where, order, skip = 0, take, ...others } = options;
    refuse(Object.keys(others).find((name) => name !== 'select' && name !== 'cache'));
    const found = this.rows
      .filter((row) => isMeant(row, where))
      .sort((one, other) => compare(one, other, order));
    return Promise.resolve(found.slice(skip, take === undefined ? undefined : skip + take));
  }

  override findBy(where: Where): Promise<ObjectLiteral[]> {
    return this.find({ where });
  }

  override async findOne(options: FindOneOptions<ObjectLiteral>): Promise<ObjectLiteral | null> {
    const [row = null] = await this.find({ ...options, take: 1 });
    return row;
  }

  override findOneBy(where: Where): Promise<ObjectLiteral | null> {
    return this.findOne({ where });
  }

  override async findAndCount(
    options: FindManyOptions<ObjectLiteral> = {},
  ): Promise<[ObjectLiteral[], number]> {
    return [await this.find(options), await this.count(options)];
  }

  override findAndCountBy(where: Where): Promise<[ObjectLiteral[], number]> {
    return this.findAndCount({ where });
  }

  override async count({ where }: FindManyOptions<ObjectLiteral> = {}): Promise<number> {
    return (await this.find({ where })).length;
  }

  override countBy(where: Where): Promise<number> {
    return this.count({ where });
  }

  override async exists({ where }: FindManyOptions<ObjectLiteral> = {}): Promise<boolean> {
    return (await this.count({ where })) > 0;
  }

  override existsBy(where: Where): Promise<boolean> {
    return this.exists({ where });
  }
}

function isMeant(row: ObjectLiteral, where: Where = {}): boolean {
  return [where]
    .flat()
    .some((all) =>
      Object.entries(all).every(([property, wanted]) => isEqual(row[property], wanted)),
    );
}

function isEqual(value: unknown, wanted: unknown): boolean {
  if (wanted === undefined) {
    return true;
  }
  if (!(wanted instanceof FindOperator)) {
    return isDeepStrictEqual(value, wanted);
  }
  refuse(wanted.type === 'in' ? undefined : wanted.type);
  return (wanted.value as unknown[]).some((each) => isDeepStrictEqual(value, each));
}

function compare(
  one: ObjectLiteral,
  other: ObjectLiteral,
  order: FindManyOptions<ObjectLiteral>['order'] = {},
): number {
  for (const [property, direction] of Object.entries(order)) {
    const [less, more] = [one[property] < other[property], one[property] > other[property]];
    if (less || more) {
      return less === (direction !== 'DESC' && direction !== 'desc' && direction !== -1) ? -1 : 1;
    }
  }
  return 0;
}

function refuse(name: string | undefined): void {
  if (name !== undefined) {
    throw new InvalidOptionsError(
      `A repository with the rows of a test does not know \`${name}\`.`,
      {
        hint: 'It reads by values, In(...), order, skip and take. Test other queries on a real database.',
      },
    );
  }
}
