import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

@Entity({ schema: 'sample_migrations', name: 'order' })
export class Order {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column('date')
  day!: string;

  @Column('numeric')
  amount!: string;
}
