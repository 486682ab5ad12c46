-- release.sql: a customer whose limit is 0, an item with stock and a price, a signed source for payments.
SELECT distsync.add_system('bench-erp', 'erp');
SELECT distsync.add_source('bench-erp', 'bench-erp', jsonb_build_object('secret', :secret));
SELECT distsync.apply('currency', '{"currency":"USD","minor_units":2}', 'bench-erp');
SELECT distsync.apply('unit', '{"unit":"EA"}', 'bench-erp');
SELECT distsync.apply('company', '{"code":"R","name":"Release","currency":"USD"}', 'bench-erp');
SELECT distsync.apply('site', '{"code":"R-S","company":"R"}', 'bench-erp');
SELECT distsync.apply('item', '{"sku":"R-A","base_unit":"EA"}', 'bench-erp');
SELECT distsync.apply('party', '{"code":"R-C","name":"Customer","roles":["sold_to","payer"],"currency":"USD"}', 'bench-erp');
SELECT distsync.apply('credit_account', '{"code":"AR-R","customer":"R-C","company":"R","currency":"USD","limit":"0"}', 'bench-erp');
SELECT distsync.apply('agreement', '{"code":"R-LIST","slot":"list","currency":"USD","assignments":[{"who_kind":"all"}],"rates":[{"what":"R-A","value":"10"}]}', 'bench-erp');
SELECT distsync.apply('stock_event', '{"event_id":"r1","kind":"count","perspective":"phys","sku":"R-A","site":"R-S","state":"available","quantity":"1000000","unit":"EA","event_at":"2026-01-01T00:00:00Z"}', 'bench-erp');
SELECT distsync.apply('stock_event', '{"event_id":"r2","kind":"count","perspective":"book","sku":"R-A","site":"R-S","state":"available","quantity":"1000000","unit":"EA","event_at":"2026-01-01T00:00:00Z"}', 'bench-erp');
