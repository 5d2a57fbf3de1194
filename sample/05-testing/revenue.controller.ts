import { Controller, Get, Post } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { RefreshService } from 'nestjs-materialized-views';
import type { Repository } from 'typeorm';
import { DailyRevenue } from './daily-revenue.view.js';

@Controller('revenue')
export class RevenueController {
  constructor(
    @InjectRepository(DailyRevenue) private readonly revenue: Repository<DailyRevenue>,
    private readonly refreshes: RefreshService,
  ) {}

  @Get('best')
  best(): Promise<DailyRevenue[]> {
    return this.revenue.find({ order: { revenue: 'DESC' }, take: 2 });
  }

  @Post('refresh')
  async refresh(): Promise<{ outcome: string }> {
    const { outcome } = await this.refreshes.refresh(DailyRevenue, { timeout: '30s' });
    return { outcome };
  }
}
