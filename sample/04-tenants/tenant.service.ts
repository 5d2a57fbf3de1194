import { Injectable } from '@nestjs/common';
import { InjectDataSource, InjectRepository } from '@nestjs/typeorm';
import { inSchema, SchemaService } from 'nestjs-materialized-views';
import { escapeIdentifier } from 'pg';
import type { DataSource, Repository } from 'typeorm';
import { DailyRevenue } from './daily-revenue.view.js';
import { Order } from './order.entity.js';
import { Tenant } from './tenant.entity.js';

@Injectable()
export class TenantService {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    @InjectRepository(DailyRevenue) private readonly revenue: Repository<DailyRevenue>,
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly schemas: SchemaService,
  ) {}

  /** Creates a tenant with its table and view. In your application, migrations create the table. */
  async create(schema: string): Promise<void> {
    await this.createTables(schema);
    await this.dataSource.getRepository(Tenant).insert({ schema });
    const { added } = await this.schemas.sync();
    console.log(`         New views: ${added.join(', ')}`);
  }

  async createTables(schema: string): Promise<void> {
    const quotedSchema = escapeIdentifier(schema);
    await this.dataSource.query(`
      CREATE SCHEMA ${quotedSchema};
      CREATE TABLE ${quotedSchema}.orders (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        day date NOT NULL,
        amount int NOT NULL
      )`);
  }

  async order(schema: string, day: string, amount: number): Promise<void> {
    await inSchema(this.orders, schema).insert({ day, amount });
  }

  revenueOf(schema: string): Promise<DailyRevenue[]> {
    return inSchema(this.revenue, schema).find({ order: { day: 'ASC' } });
  }
}
