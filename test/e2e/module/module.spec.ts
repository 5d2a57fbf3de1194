import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { InjectRepository } from '@nestjs/typeorm';
import { Index, Repository, ViewColumn } from 'typeorm';
import {
  InvalidDefinitionError,
  InvalidOptionsError,
  MaterializedViewEntity,
  MaterializedViewsModule,
  type MaterializedViewsModuleOptions,
  type MaterializedViewsOptionsFactory,
  RefreshService,
  SchemaService,
} from '../../../lib/index.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

@MaterializedViewEntity({ name: 'numbers', expression: 'SELECT 1 AS id' })
@Index(['id'], { unique: true })
class Numbers {
  @ViewColumn() id!: number;
}

@MaterializedViewEntity({ name: 'letters', schema: 'text', expression: `SELECT 'a' AS id` })
@Index(['id'], { unique: true })
class Letters {
  @ViewColumn() id!: string;
}

@MaterializedViewEntity({
  name: 'hourly',
  expression: 'SELECT 1 AS id',
  refresh: { cron: '0 * * * *' },
})
class Hourly {
  @ViewColumn() id!: number;
}

@Injectable()
class Reader {
  constructor(
    @InjectRepository(Numbers) readonly numbers: Repository<Numbers>,
    readonly refreshes: RefreshService,
  ) {}
}

@Injectable()
class OptionsFactory implements MaterializedViewsOptionsFactory {
  createMaterializedViewsOptions(): MaterializedViewsModuleOptions {
    return { stateSchema: 'from_class', scheduling: false };
  }
}

@Module({ providers: [OptionsFactory], exports: [OptionsFactory] })
class FactoryModule {}

describe('MaterializedViewsModule', () => {
  let one: TestDatabase;
  let two: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    one = await TestDatabase.create();
    two = await TestDatabase.create();
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    for (const database of [one, two]) {
      await database.query(`DROP MATERIALIZED VIEW IF EXISTS numbers, hourly CASCADE`);
      await database.query(
        `DROP SCHEMA IF EXISTS materialized_views, text, from_class, a, b CASCADE`,
      );
    }
  });

  afterAll(async () => {
    await one.drop();
    await two.drop();
  });

  const viewsOf = async (database: TestDatabase): Promise<string[]> => {
    const rows = await database.query<{ name: string }>(
      `SELECT schemaname || '.' || matviewname AS name FROM pg_matviews ORDER BY 1`,
    );
    return rows.map(({ name }) => name);
  };

  it('forRoot: provides repositories and the service to every module', async () => {
    @Module({ providers: [Reader] })
    class ReadingModule {}
    app = await boot(
      typeOrm(one),
      MaterializedViewsModule.forRoot({ views: [Numbers] }),
      ReadingModule,
    );
    const reader = app.get(Reader, { strict: false });
    expect(await reader.numbers.find()).toEqual([{ id: 1 }]);
    expect(await reader.refreshes.refresh(Numbers)).toMatchObject({ outcome: 'refreshed' });
  });

  it('isGlobal: false keeps them to the modules that import it', async () => {
    @Module({ providers: [Reader] })
    class ReadingModule {}
    await expect(
      boot(
        typeOrm(one),
        MaterializedViewsModule.forRoot({ views: [Numbers], isGlobal: false }),
        ReadingModule,
      ),
    ).rejects.toThrow(/can't resolve dependencies of the Reader/);
  });

  it('forRootAsync: useFactory with inject', async () => {
    app = await boot(
      typeOrm(one),
      MaterializedViewsModule.forRootAsync({
        views: [Numbers],
        imports: [FactoryModule],
        inject: [OptionsFactory],
        useFactory: async (factory: OptionsFactory) =>
          Promise.resolve(factory.createMaterializedViewsOptions()),
      }),
    );
    expect(await one.query('SELECT FROM from_class.view_state')).toHaveLength(1);
  });

  it.each([
    ['useClass', { useClass: OptionsFactory }],
    ['useExisting', { useExisting: OptionsFactory, imports: [FactoryModule] }],
  ])('forRootAsync: %s', async (_, source) => {
    app = await boot(
      typeOrm(one),
      MaterializedViewsModule.forRootAsync({ views: [Numbers], ...source }),
    );
    expect(await one.query('SELECT FROM from_class.view_state')).toHaveLength(1);
  });

  it('forFeature: adds views where they are used', async () => {
    @Module({ imports: [MaterializedViewsModule.forFeature([Numbers])], providers: [Reader] })
    class FeatureModule {}
    app = await boot(FeatureModule, MaterializedViewsModule.forRoot(), typeOrm(one));
    expect(await app.get(Reader, { strict: false }).numbers.count()).toBe(1);
    expect(await viewsOf(one)).toEqual(['public.numbers']);
  });

  it('finds classes that are merely entities of the data source', async () => {
    app = await boot(
      typeOrm(one, { autoLoadEntities: false, entities: [Numbers, Letters] }),
      MaterializedViewsModule.forRoot(),
    );
    expect(await viewsOf(one)).toEqual(['public.numbers', 'text.letters']);
    expect(await app.get(RefreshService).refresh(Letters)).toMatchObject({ outcome: 'refreshed' });
  });

  it('serves several data sources by name', async () => {
    app = await boot(
      typeOrm(one, { autoLoadEntities: false, entities: [Numbers] }),
      typeOrm(two, { name: 'reporting', autoLoadEntities: false, entities: [Numbers, Letters] }),
      MaterializedViewsModule.forRoot({ views: [Numbers] }),
      MaterializedViewsModule.forFeature([Letters, Numbers], 'reporting'),
    );
    expect(await viewsOf(one)).toEqual(['public.numbers']);
    expect(await viewsOf(two)).toEqual(['public.numbers', 'text.letters']);
    const refreshes = app.get(RefreshService);
    await expect(refreshes.refresh(Numbers)).rejects.toThrow(
      /data sources "default" and "reporting"/,
    );
    await refreshes.refresh(Numbers, { dataSource: 'reporting' });
    const runs = `SELECT FROM materialized_views.refresh_history WHERE trigger = 'demand'`;
    expect([await one.query(runs), await two.query(runs)]).toEqual([[], [{}]]);
  });

  it('takes no view of another data source for an orphan, if both use one database', async () => {
    for (let start = 1; start <= 2; start++) {
      app = await boot(
        typeOrm(one, { autoLoadEntities: false, entities: [Numbers] }),
        typeOrm(one, { name: 'reporting', autoLoadEntities: false, entities: [Letters] }),
        MaterializedViewsModule.forRoot({ views: [Numbers], prune: true }),
        MaterializedViewsModule.forFeature([Letters], 'reporting'),
      );
      expect(await viewsOf(one)).toEqual(['public.numbers', 'text.letters']);
      expect(await app.get(SchemaService).diff({ dataSource: 'reporting' })).toEqual([]);
      await app.close();
      app = undefined;
    }
  });

  it('goes on holding a view of another data source that another application has too', async () => {
    app = await boot(
      typeOrm(one, { autoLoadEntities: false, entities: [Letters], applicationName: 'bank' }),
      MaterializedViewsModule.forRoot({ views: [Letters] }),
    );
    await app.close();
    app = await boot(
      typeOrm(one, { autoLoadEntities: false, entities: [Numbers] }),
      typeOrm(one, { name: 'reporting', autoLoadEntities: false, entities: [Letters] }),
      MaterializedViewsModule.forRoot({ views: [Numbers] }),
      MaterializedViewsModule.forFeature([Letters], 'reporting'),
    );
    const schema = app.get(SchemaService);
    await schema.apply(await schema.plan({ dataSource: 'default' }));
    expect(
      await one.query(
        `SELECT applications FROM materialized_views.view_state WHERE view_name = 'letters'`,
      ),
    ).toEqual([{ applications: ['bank', 'tests'] }]);
  });

  it('accepts a named data source as the only one', async () => {
    app = await boot(
      typeOrm(two, { name: 'reporting', autoLoadEntities: false, entities: [Numbers] }),
      MaterializedViewsModule.forRoot({ views: [Numbers], dataSource: 'reporting' }),
    );
    expect(await viewsOf(two)).toEqual(['public.numbers']);
  });

  it('can be imported again, which only adds views', async () => {
    app = await boot(
      typeOrm(one, { autoLoadEntities: false, entities: [Numbers, Letters, Hourly] }),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ views: [Numbers, Hourly] }),
      MaterializedViewsModule.forRoot({ views: [Numbers, Letters, Hourly] }),
      MaterializedViewsModule.forFeature([Numbers]),
      MaterializedViewsModule.forFeature([Numbers, Hourly]),
    );
    expect(await viewsOf(one)).toEqual(['public.hourly', 'public.numbers', 'text.letters']);
    const startups = await one.query(`SELECT FROM materialized_views.refresh_history`);
    expect(startups).toHaveLength(3);
  });

  it('refuses two forRoot with different options', async () => {
    await expect(
      boot(
        typeOrm(one),
        MaterializedViewsModule.forRoot({ stateSchema: 'a' }),
        MaterializedViewsModule.forRoot({ stateSchema: 'b' }),
      ),
    ).rejects.toThrow(/same options, got `stateSchema` "a" and "b"/);
  });

  it('refuses forFeature without forRoot', async () => {
    await expect(boot(typeOrm(one), MaterializedViewsModule.forFeature([Numbers]))).rejects.toThrow(
      /needs MaterializedViewsModule\.forRoot\(\)/,
    );
  });

  it('refuses a view that is not among the entities, before any SQL of its own', async () => {
    await expect(
      boot(
        typeOrm(one, { autoLoadEntities: false }),
        MaterializedViewsModule.forRoot({ views: [Numbers] }),
      ),
    ).rejects.toThrow(
      /Numbers is registered for data source "default", but is not among its entities/,
    );
    expect(await viewsOf(one)).toEqual([]);
  });

  it('refuses schedules without ScheduleModule, unless scheduling is off', async () => {
    const entities = [Hourly];
    await expect(
      boot(
        typeOrm(one, { autoLoadEntities: false, entities }),
        MaterializedViewsModule.forRoot({ views: entities }),
      ),
    ).rejects.toThrow(/Import ScheduleModule\.forRoot\(\)/);
    app = await boot(
      typeOrm(one, { autoLoadEntities: false, entities }),
      MaterializedViewsModule.forRoot({ views: entities, scheduling: false }),
    );
  });

  it('refuses a missing data source and wrong options, naming where they were given', async () => {
    await expect(
      boot(typeOrm(one), MaterializedViewsModule.forRoot({ dataSource: 'nowhere' })),
    ).rejects.toThrow(/data source "nowhere".*none of that name/);
    expect(() => MaterializedViewsModule.forRoot({ poolSize: 0 })).toThrow(
      /expected `poolSize` to be a whole number from 1 to 100, got 0/,
    );
    expect(() => MaterializedViewsModule.forRoot({ sweep: 1 } as never)).toThrow(
      InvalidOptionsError,
    );
    for (const [options, message] of [
      [null, /`options` to be an object, got null/],
      [[], /`options` to be an object, got \[\]/],
      [{ views: Numbers }, /`views` to be an array/],
      [{ views: null }, /`views` to be an array/],
      [{ views: [undefined] }, /`views\[0\]` .* got undefined\. If two files import each other/],
      [{ dataSource: 5 }, /`dataSource` to be the name of a data source, got 5/],
      [{ isGlobal: 'no' }, /`isGlobal` to be true or false, got "no"/],
    ] as const) {
      expect(() => MaterializedViewsModule.forRoot(options as never)).toThrow(message);
    }
    for (const options of [null, {}, { useFactory: {} }]) {
      expect(() => MaterializedViewsModule.forRootAsync(options as never)).toThrow(
        InvalidOptionsError,
      );
    }
    expect(() => MaterializedViewsModule.forFeature([Reader])).toThrow(
      /decorated with @MaterializedViewEntity or @PlainViewEntity, got \[class Reader\]/,
    );
  });

  it('refuses two classes for one view in a data source', async () => {
    class Twin extends Numbers {}
    MaterializedViewEntity({ name: 'letters', expression: 'SELECT 1 AS id' })(Twin);
    class OtherTwin extends Numbers {}
    MaterializedViewEntity({ name: 'letters', schema: 'public', expression: 'SELECT 1 AS id' })(
      OtherTwin,
    );
    await expect(
      boot(
        typeOrm(one, { autoLoadEntities: false, entities: [Twin, OtherTwin] }),
        MaterializedViewsModule.forRoot(),
      ),
    ).rejects.toThrow(InvalidDefinitionError);
  });
});
