import { type DynamicModule, Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewsModule } from 'nestjs-materialized-views';
import { ProductSale } from './product-sale.view.js';
import { SaleTotal } from './sale-total.view.js';

/** What the worker and the web processes share: the database and its views. */
@Module({})
export class ShopModule {
  /** @param scheduling whether the process refreshes views by schedule and after writes */
  static forProcess({ scheduling }: { scheduling: boolean }): DynamicModule {
    return {
      module: ShopModule,
      imports: [
        TypeOrmModule.forRoot({
          type: 'postgres',
          url: process.env.DATABASE_URL,
          applicationName: scheduling ? 'shop worker' : 'shop web',
          autoLoadEntities: true,
        }),
        ScheduleModule.forRoot(),
        MaterializedViewsModule.forRoot({
          views: [ProductSale, SaleTotal],
          scheduling,
          // The processes connect under two names, but belong to one application.
          application: 'shop',
          // With the default of 30 s, the demo would wait too long for the catch-up.
          sweepInterval: '1s',
        }),
      ],
    };
  }
}
