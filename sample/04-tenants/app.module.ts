import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewsModule } from 'nestjs-materialized-views';
import { DailyRevenue } from './daily-revenue.view.js';
import { Order } from './order.entity.js';
import { Tenant } from './tenant.entity.js';
import { TenantService } from './tenant.service.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({
        type: 'postgres',
        url: process.env.DATABASE_URL,
        autoLoadEntities: true,
      }),
    }),
    TypeOrmModule.forFeature([Order, Tenant]),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [DailyRevenue] }),
  ],
  providers: [TenantService],
})
export class AppModule {}
