import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import { InjectRepository } from '@nestjs/typeorm';
import { DataSource, Repository } from 'typeorm';
import {
  defineMaterializedView,
  MaterializedViewsModule,
  ReadOnlyViewError,
  RefreshService,
} from '../../../lib/index.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

interface DailyTotal {
  day: string;
  total: number;
}

const DailyTotal = defineMaterializedView<DailyTotal>({
  name: 'Daily "total"',
  schema: 'Defined here',
  expression: 'SELECT day, sum(amount) AS total_sum FROM public.sale GROUP BY day',
  columns: {
    day: { type: 'text' },
    total: { type: 'bigint', name: 'total_sum', transformer: { from: Number, to: String } },
  },
  indexes: [{ name: 'daily_total_day', keys: ['day'], unique: true }],
});

const Days = defineMaterializedView({
  name: 'days',
  expression: 'SELECT count(*)::int AS count FROM "Defined here"."Daily ""total"""',
  columns: ['count'],
});

@Injectable()
class Reader {
  constructor(@InjectRepository(DailyTotal) readonly totals: Repository<DailyTotal>) {}
}

@Module({ imports: [MaterializedViewsModule.forFeature([Days])], providers: [Reader] })
class FeatureModule {}

describe('a view without a class', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE sale (day text, amount int)');
    await database.query(`INSERT INTO sale VALUES ('mon', 1), ('mon', 2), ('tue', 5)`);
    app = await boot(
      typeOrm(database, { autoLoadEntities: true }),
      MaterializedViewsModule.forRoot({ views: [DailyTotal] }),
      FeatureModule,
    );
    dataSource = app.get(DataSource);
  });

  afterAll(async () => {
    await app?.close();
    await database.drop();
  });

  it('is created, refreshed without blocking, and read by its repository', async () => {
    const totals = dataSource.getRepository(DailyTotal);
    const monday: DailyTotal | null = await totals.findOneBy({ day: 'mon' });
    expect(monday).toEqual({ day: 'mon', total: 3 });

    await database.query(`INSERT INTO sale VALUES ('mon', 10)`);
    expect(await app.get(RefreshService).refresh(DailyTotal)).toMatchObject({
      outcome: 'refreshed',
      mode: 'concurrently',
      view: 'Defined here.Daily "total"',
    });
    expect(await totals.find({ order: { day: 'ASC' } })).toEqual([
      { day: 'mon', total: 13 },
      { day: 'tue', total: 5 },
    ]);
  });

  it('has the columns of its unique index as primary columns', () => {
    const { primaryColumns } = dataSource.getMetadata(DailyTotal);
    expect(primaryColumns.map((column) => column.propertyName)).toEqual(['day']);
  });

  it('is injected as the repository of a class is', async () => {
    expect(await app.get(Reader, { strict: false }).totals.countBy({ day: 'tue' })).toBe(1);
  });

  it('may come from a feature module, with columns given by name', async () => {
    const [days] = await dataSource.getRepository(Days).find();
    expect(days).toBeInstanceOf(Days);
    expect(days?.count).toBe(2);
  });

  it('is read-only', async () => {
    await expect(dataSource.getRepository(DailyTotal).delete({ day: 'mon' })).rejects.toThrow(
      ReadOnlyViewError,
    );
  });
});
