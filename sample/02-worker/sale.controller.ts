import { Controller, Get, HttpCode, Post } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import {
  type RefreshHistoryEntry,
  type RefreshResult,
  RefreshService,
} from 'nestjs-materialized-views';
import { Repository } from 'typeorm';
import { ProductSale } from './product-sale.view.js';
import { SaleTotal } from './sale-total.view.js';

export interface Sales {
  /** The age of the rows; absent before the first refresh. */
  ageMs?: number;
  /** Whether the worker should have refreshed them by now. */
  isStale: boolean;
  nextTick?: Date;
  rows: ProductSale[];
}

/** Anyone can call this in the sample. In your application, protect it with a guard. */
@Controller()
export class SaleController {
  constructor(
    @InjectRepository(ProductSale) private readonly sales: Repository<ProductSale>,
    @InjectRepository(SaleTotal) private readonly totals: Repository<SaleTotal>,
    private readonly refreshes: RefreshService,
  ) {}

  @Get('sales')
  async list(): Promise<Sales> {
    const { ageMs, isStale, nextTick } = await this.refreshes.status(ProductSale);
    return { ageMs, isStale, nextTick, rows: await this.sales.find({ order: { product: 'ASC' } }) };
  }

  /** Which process refreshed, and when. */
  @Get('runs')
  runs(): Promise<RefreshHistoryEntry[]> {
    return this.refreshes.history(ProductSale, { limit: 100 });
  }

  @Get('total')
  async total(): Promise<Partial<SaleTotal> & { isUnchanged?: boolean }> {
    const [total] = await this.totals.find();
    const { changes } = await this.refreshes.status(SaleTotal);
    return { ...total, isUnchanged: changes?.isUnchanged };
  }

  @Get('total/runs')
  totalRuns(): Promise<RefreshHistoryEntry[]> {
    return this.refreshes.history(SaleTotal, { limit: 100 });
  }

  /** Answers once the view contains everything committed before the request, whichever process refreshed it. */
  @Post('refresh')
  @HttpCode(200)
  refresh(): Promise<RefreshResult> {
    return this.refreshes.refresh(ProductSale, { timeout: '30s' });
  }
}
