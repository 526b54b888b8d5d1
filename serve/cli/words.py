"""What the command line says, in English and Chinese: help, progress, and each error with its way out."""

import os
from collections.abc import Mapping
from typing import Final

WORDS: Final[dict[str, tuple[str, str]]] = {
    # help
    "app": ("Stampede: a shop that survives the rush.", "Stampede:经得起抢购洪峰的商城。"),
    "up": ("Start everything on this machine, until Ctrl-C.", "在本机启动全部服务,按 Ctrl-C 停止。"),
    "migrate": ("Apply the missing migrations to the database.", "对数据库执行尚未应用的迁移。"),
    "seed": ("Fill an empty shop; make customers for load tests.", "填充空商城;生成压测用户。"),
    "sale": ("Flash sales: create, prepare, status.", "限时抢购:创建、预备、查看。"),
    "sale_create": ("Make a flash sale with stock of its own.", "创建一场拥有独立库存的限时抢购。"),
    "sale_prepare": ("Spread a sale's stock over several owners, before the rush.", "在洪峰到来前,将活动库存分散到多个分片。"),
    "sale_status": ("Show a sale and its stock, exactly.", "显示活动及其精确库存。"),
    "status": ("Show shards, hosts, queues and projections.", "显示分片、主机、队列与投影。"),
    "audit": ("Prove the books from the tables alone; exit 1 when they do not balance.", "仅凭数据表核对账目;不平则以 1 退出。"),
    "member": ("Members: how one stands, and by which rules.", "会员:查看会员状态与规则。"),
    "member_show": ("Show how a member stands, as the tables have it.", "按数据表显示会员状态。"),
    "member_rules": ("Show the levels and rates of the shop.", "显示会员等级与积分规则。"),
    "drain": ("Empty a host of its shards, or let it take some again.", "将某主机的分片移走,或让其重新接收。"),
    "journal": ("The journal: where its records are, archiving and pruning.", "日志:记录所在位置、归档与清理。"),
    "journal_status": ("Show how many records are in the table and in the archive.", "显示数据表与归档中的记录数。"),
    "journal_archive": ("Copy all records that are not in the archive yet.", "将尚未归档的记录全部写入归档。"),
    "journal_prune": ("Delete archived records that nobody needs in the table.", "从数据表中清除已归档且不再需要的记录。"),
    "journal_upkeep": (
        "Archive and prune what is due, as it happens by itself every hour.",
        "归档并清理到期的记录(系统每小时也会自动执行)。",
    ),
    "search": ("The index that products are found by: how it stands, building it anew.", "商品搜索索引:状态与重建。"),
    "search_status": ("How the index of this machine stands.", "查看本机的搜索索引。"),
    "search_rebuild": ("Build the index anew, while the old one is used.", "重建搜索索引,期间旧索引照常使用。"),
    "events": ("Behaviour events: where they are, and landing them.", "行为事件:所在位置与落盘。"),
    "watch": (
        "Count what was sold, and bring facts, tags and proposals of goods up to date, as it happens by itself every half minute.",
        "统计销量并更新商品指标、标签与经营建议(每半分钟也会自动执行)。",
    ),
    "o_recount": ("Count all sales anew first.", "先重新统计全部销量。"),
    "watched": (
        "{counted} payments and refunds counted, {products} products looked at, {tags} tags given or taken, {proposals} proposals changed.",
        "统计 {counted} 笔付款与退款,更新 {products} 个商品,增减标签 {tags} 个,变更建议 {proposals} 条。",
    ),
    "watch_busy": ("Another round is at work.", "另一轮更新正在进行。"),
    "events_status": ("Show the events in the lake, and those that wait on this machine.", "显示数据湖中的事件及本机待落盘的事件。"),
    "events_land": (
        "Write waiting events into the lake and delete days that are too old, as it happens by itself every minute.",
        "将待处理事件写入数据湖并删除过期日期(系统每分钟也会自动执行)。",
    ),
    "staff": ("Staff: who has which role.", "员工:角色管理。"),
    "staff_grant": ("Give a role; the first administrator is made so.", "授予角色;首位管理员由此产生。"),
    "staff_revoke": ("Take a role away, and end the user's sessions.", "收回角色,并结束该用户的会话。"),
    "staff_merchant": ("Make a merchant, and give it products.", "新建商家,并划归商品。"),
    "o_title": ("Its name in English.", "英文名称。"),
    "o_title_zh": ("Its name in Chinese.", "中文名称。"),
    "o_product": ("A product that is its own; may be repeated.", "归属该商家的商品,可重复。"),
    "staff_list": ("Show all roles.", "显示全部角色。"),
    "goods": ("Goods in bulk: import and export.", "批量商品:导入与导出。"),
    "goods_import": (
        "Import products from a CSV or an Excel workbook: all of them, or none where a cell is bad.",
        "从 CSV 或 Excel 工作簿导入商品:全部导入,若有问题单元格则全不导入。",
    ),
    "goods_export": ("Export all products, as an import takes them.", "导出全部商品,格式与导入一致。"),
    "o_dry_run": ("Only check, and list every bad cell.", "仅检查并列出全部问题单元格。"),
    "o_state": ("Only products in this state.", "仅导出处于该状态的商品。"),
    "import_uploaded": ("waiting", "等待中"),
    "import_checking": ("checking", "检查中"),
    "import_checked": ("checked", "已检查"),
    "import_refused": ("refused", "已拒绝"),
    "import_importing": ("importing", "导入中"),
    "import_done": ("done", "已完成"),
    "import_failed": ("failed", "已失败"),
    "import_cancelled": ("cancelled", "已取消"),
    "import_did": (
        "Imported: {created} products are new, {changed} were changed, {same} were the same.",
        "导入完成:新增 {created} 件商品,更新 {changed} 件,{same} 件无变化。",
    ),
    "import_would": (
        "Every cell is good. An import would make {created} products, change {changed}, and leave {same} as they are.",
        "全部单元格有效。导入将新增 {created} 件商品,更新 {changed} 件,{same} 件无变化。",
    ),
    "import_bad": (
        "{count} cells are bad, and nothing was imported. Fix them in {report} and import that; the list alone is {flaws}.",
        "有 {count} 个问题单元格,未导入任何商品。请在 {report} 中修正后重新导入;问题列表见 {flaws}。",
    ),
    "import_not_done": ("Nothing was imported: {reason}", "未导入任何商品:{reason}"),
    "import_ended": ("Nothing was imported: the import was cancelled.", "未导入任何商品:任务已取消。"),
    "exported": ("Exported {count} products to {file}.", "已将 {count} 件商品导出到 {file}。"),
    "no_such_file": ("There is no file {path}.", "文件 {path} 不存在。"),
    "file_too_large": ("{path} is larger than {limit} bytes.", "{path} 超过 {limit} 字节。"),
    "format_unknown": ("Name a file that ends in .csv or .xlsx, and not {path}.", "文件名须以 .csv 或 .xlsx 结尾,而非 {path}。"),
    "privacy": ("Personal data: what is due to be erased.", "个人数据:到期清除。"),
    "privacy_run": (
        "Erase who and what is due, and seal old fields with the newest key.",
        "清除到期的账号与数据,并用最新密钥重新加密旧字段。",
    ),
    "o_merchant": ("Whose goods and orders a merchant's are.", "商家角色所属的商家。"),
    "o_keep_days": ("Keep records younger than this many days in the table; at least 7.", "数据表中保留最近若干天的记录,至少 7 天。"),
    "o_json": ("Print JSON.", "以 JSON 输出。"),
    "o_shop": ("demo (real data), small (synthetic) or none.", "demo(真实数据)、small(合成数据)或 none。"),
    "o_users": ("So many customers with a session each.", "生成若干已登录的用户。"),
    "o_tokens": ("Write a line for each of them: user id, tab, access token.", "每个用户写入一行:用户 ID、制表符、访问令牌。"),
    "o_hours": ("How long the tokens are good.", "令牌有效的小时数。"),
    "o_sku": ("The article whose product is sold.", "所售商品的 SKU。"),
    "o_stock": ("Units for sale.", "出售件数。"),
    "o_limit": ("Units one customer may buy; 0: no limit.", "每人限购件数;0 表示不限。"),
    "o_price": ("Price in minor units (cents, fen).", "价格,以最小货币单位(分)计。"),
    "o_opens_in": ("Seconds until it opens.", "距开始的秒数。"),
    "o_opens_at": ("When it opens, RFC 3339; without it, now.", "开始时间,RFC 3339;缺省为立即开始。"),
    "o_ends_at": ("When it ends, RFC 3339; without it, a week after it opens.", "结束时间,RFC 3339;缺省为开始后一周。"),
    "o_ticket": ("Let in only who holds an admission ticket.", "仅允许持入场券者参与。"),
    "o_mode": ("first_come or draw.", "first_come(先到先得)或 draw(抽签)。"),
    "o_draws_in": ("Of a draw: seconds from opening to drawing.", "抽签模式:从开始到抽签的秒数。"),
    "o_winners": ("Of a draw: how many win.", "抽签模式:中签人数。"),
    "o_rate": ("Orders a second that are let in; 0: no limit.", "每秒放行的订单数;0 表示不限。"),
    "o_demo": ("Pick an article, a price and a stock: a sale to try the shop with.", "自动选择商品、价格与库存,便于试用。"),
    "o_parts": ("How many owners share the stock.", "分担库存的分片数。"),
    "o_watch": ("Show again every second.", "每秒刷新。"),
    "o_undo": ("Let the host take shards again.", "让该主机重新接收分片。"),
    "o_limit_minutes": ("Minutes after which an open saga is an error.", "未完成流程超过多少分钟即视为错误。"),
    # progress and results
    "member_none": ("Nobody of this name has earned anything yet: {user}", "该用户尚无会员记录:{user}"),
    "no_membership": ("The shop has no rules of membership.", "商城未设置会员规则。"),
    "member_line": (
        "{user}: level {level}, {available} points ({held} held, {debt} owed), reviewed {review}, support queue {queue}",
        "{user}:等级 {level},可用积分 {available}(冻结 {held},欠 {debt}),评定日 {review},客服队列 {queue}",
    ),
    "level_line": (
        "{level}: from {growth} growth, {discount}% off, {points}% points, {shipping} free deliveries a month",
        "{level}:成长值 {growth} 起,优惠 {discount}%,积分 {points}%,每月免运费 {shipping} 次",
    ),
    "rate_line": (
        "{currency}: 100 minor units paid give {growth} growth and {points} points; 100 points take {worth} off",
        "{currency}:每支付 100 最小单位得成长值 {growth}、积分 {points};100 积分抵 {worth}",
    ),
    "search_none": ("There is no index in {path}: titles are compared in the database.", "{path} 中没有索引:暂以数据库比对标题。"),
    "search_index": ("{index}: {products} products, {megabytes} MB, in {path}", "{path} 中的 {index}:{products} 件商品,{megabytes} MB"),
    "search_alone": ("No indexer works here.", "本机没有索引进程在运行。"),
    "search_following": ("The indexer follows what changes.", "索引进程正在跟进变更。"),
    "search_building": ("Building: {built} of {count} products", "正在建立索引:{built} / {count} 件商品"),
    "search_waiting": ("The indexer waits for the database: {reason}", "索引进程正在等待数据库:{reason}"),
    "search_stopped": ("The last build ended.", "上次建立索引已结束。"),
    "search_said": ("It said so {seconds} s ago (process {pid}).", "{seconds} 秒前的状态(进程 {pid})。"),
    "search_rebuilt": ("Built {index}: {products} products in {seconds} s", "已建立 {index}:{products} 件商品,用时 {seconds} 秒"),
    "search_silent": (
        "The indexer in {path} has said nothing for a minute. Look into search.log of the data directory",
        "{path} 中的索引进程一分钟未更新状态,请查看数据目录中的 search.log",
    ),
    "search_busy": ("Another process builds the index in {path}", "另一个进程正在 {path} 中建立索引"),
    "events_landed": (
        "{rows} events landed in {files} files; {duplicates} were there already; {expired} old files deleted.",
        "已落盘 {rows} 条事件,共 {files} 个文件;重复 {duplicates} 条;删除过期文件 {expired} 个。",
    ),
    "events_damaged": ("{count} stretches of the spool could not be read and were left out.", "缓冲文件中有 {count} 段无法读取,已跳过。"),
    "events_problem": ("Look at this: {problem}", "请检查:{problem}"),
    "events_lake": (
        "{rows} events in {files} files ({megabytes} MB) in {path}; days: {days}",
        "{path} 中共 {rows} 条事件,{files} 个文件({megabytes} MB);日期:{days}",
    ),
    "events_spool": (
        "Waiting here: {files} files ({megabytes} MB), the oldest for {seconds} s",
        "本机待落盘:{files} 个文件({megabytes} MB),最早已等待 {seconds} 秒",
    ),
    "events_last": ("Last landing: {seconds} s ago, {rows} events", "上次落盘:{seconds} 秒前,{rows} 条事件"),
    "events_never": ("Nothing has been landed yet.", "尚未落盘过任何事件。"),
    "migrated": ("applied {name}", "已应用 {name}"),
    "standby": (
        "PostgreSQL has an asynchronous standby ({name}): a failover to it could lose acknowledged orders. Set synchronous_standby_names.",
        "PostgreSQL 配有异步备库({name}):切换到该备库可能丢失已确认的订单。请设置 synchronous_standby_names。",
    ),
    "resealed": ("sealed {count} personal fields with the newest key", "已用最新密钥重新加密 {count} 个个人信息字段"),
    "up_starting": ("starting {what}", "正在启动 {what}"),
    "up_simulator": ("the payment simulator", "支付模拟器"),
    "up_hosts": ("the shard hosts", "分片主机"),
    "up_storefront": ("the storefront", "商城前端"),
    "up_loading": ("loading the {shop} shop", "正在载入 {shop} 商城"),
    "up_products": ("{count} products", "{count} 件商品"),
    "up_articles": ("{count} articles", "{count} 个 SKU"),
    "up_coupons": ("{count} coupons", "{count} 种优惠券"),
    "up_stocked": ("{count} articles have stock", "{count} 个 SKU 已有库存"),
    "up_coupons_ready": ("{count} coupons are ready", "{count} 种优惠券已就绪"),
    "up_ray_again": ("Ray did not start ({reason}); that was try {number} of {tries}", "Ray 未能启动({reason}),第 {number}/{tries} 次尝试"),
    "up_done": ("Stampede is up.", "Stampede 已启动。"),
    "up_ctrl_c": ("Ctrl-C stops it; the data stays in {directory}", "按 Ctrl-C 停止;数据保留在 {directory}"),
    "up_url_ingress": ("shop, through Serve", "商城(经 Serve)"),
    "up_url_direct": ("shop, direct", "商城(直连)"),
    "up_url_docs": ("API, browsable", "接口文档"),
    "up_url_metrics": ("metrics", "监控指标"),
    "up_stopping": (
        "Stopping: requests are finished, shards handed over, servers closed.",
        "正在停止:处理完现有请求,移交分片,关闭各服务。",
    ),
    "nothing_to_migrate": ("Nothing to do: the schema is up to date.", "无需操作:数据库结构已是最新。"),
    "shop_there": ("There is a shop already; nothing was loaded.", "商城已有数据,未载入任何内容。"),
    "shop_loaded": ("Loaded the {shop} shop: {count} products.", "已载入 {shop} 商城:{count} 件商品。"),
    "accounts": ("{count} accounts", "{count} 个账户"),
    "sessions": ("{count} of {total} sessions", "{count}/{total} 个会话"),
    "tokens_written": ("Wrote {count} tokens to {file}, good for {hours} h.", "已将 {count} 个令牌写入 {file},有效期 {hours} 小时。"),
    "sale_made": (
        "Sale {sale} sells {stock} x {title} ({sku}) at {price}, {limit} each; it is {state}.",
        "活动 {sale}:{stock} 件 {title}({sku}),价格 {price},限购 {limit};当前状态 {state}。",
    ),
    "no_limit": ("any number", "不限"),
    "split": ("{sku} is spread over {parts} parts.", "{sku} 已分散到 {parts} 个分片。"),
    "draining": ("{host} still owns {count} shards", "{host} 仍持有 {count} 个分片"),
    "drained": (
        "{host} owns no shard and takes none. Undo: stampede drain {host} --undo",
        "{host} 已不持有分片,也不再接收。撤销:stampede drain {host} --undo",
    ),
    "undrained": ("{host} takes shards again.", "{host} 重新接收分片。"),
    "balanced": ("The books balance.", "账目平衡。"),
    "not_balanced": ("The books do NOT balance: {count} findings.", "账目不平:共 {count} 处。"),
    "looked_at": ("Looked at: {counts}.", "已核对:{counts}。"),
    "in_flight": ("Under way: {sagas}; the oldest since {seconds} s.", "进行中:{sagas};最久 {seconds} 秒。"),
    "more_findings": ("  ... and {count} more (--json lists up to a thousand)", "  ……另有 {count} 处(--json 最多列出一千处)"),
    "journal_records": (
        "journal: {rows} records in the table, {archived} archived, {pruned} of these pruned",
        "日志:表中 {rows} 条记录,已归档 {archived} 条,其中已清理 {pruned} 条",
    ),
    "journal_lake": ("archive: {files} files, {megabytes} MB, in {lake}", "归档:{files} 个文件,{megabytes} MB,位于 {lake}"),
    "journal_never": ("upkeep: it has not run yet", "维护:尚未执行"),
    "journal_last": (
        "upkeep: {minutes} minutes ago, {archived} records archived, {pruned} pruned",
        "维护:{minutes} 分钟前,归档 {archived} 条,清理 {pruned} 条",
    ),
    "journal_last_failed": ("upkeep FAILED: {reason}", "维护失败:{reason}"),
    "journal_progress": ("archived {archived}, pruned {pruned}", "已归档 {archived},已清理 {pruned}"),
    "journal_done": (
        "Archived {archived} records in {files} files; pruned {pruned}.",
        "已将 {archived} 条记录归档到 {files} 个文件;已清理 {pruned} 条。",
    ),
    "journal_held_archive": ("  {count} shards keep records that are not in the archive", "  {count} 个分片尚有未归档的记录"),
    "journal_held_projections": (
        "  {count} shards keep records that a projection has not followed, or that a rebuild reads",
        "  {count} 个分片尚有投影未处理、或重建正在读取的记录",
    ),
    "journal_held_horizon": ("  {count} shards keep records that are too young", "  {count} 个分片保留较新的记录"),
    "journal_held_meta": (
        "  {count} shards keep records that their own snapshot does not cover",
        "  {count} 个分片尚有其自身快照未覆盖的记录",
    ),
    "journal_held_messages": ("  {count} shards keep records of messages that are not answered", "  {count} 个分片尚有未应答消息的记录"),
    "journal_held_snapshots": (
        "  {count} shards keep records of entities without a snapshot that covers them",
        "  {count} 个分片尚有未被实体快照覆盖的记录",
    ),
    "granted": ("{user} is {role} from the next login on.", "{user} 已获得角色 {role},下次登录起生效。"),
    "revoked": ("{user} is no longer {role}; all sessions were ended.", "{user} 不再拥有角色 {role};其会话已全部结束。"),
    "revoked_at_rest": (
        "{user} is no longer {role}. No copy runs: there was no session to end.",
        "{user} 不再拥有角色 {role}。当前无实例运行,无会话需结束。",
    ),
    "merchant_made": ("{merchant} is {title}; {count} products were made its own.", "{merchant}({title})已就绪;{count} 件商品划归该商家。"),
    "no_roles": (
        "Nobody has a role yet. Make an administrator: stampede staff grant USER administrator",
        "尚无任何角色。请执行:stampede staff grant USER administrator",
    ),
    "privacy_done": (
        "Erased {erased} people; deleted {exports} exports and {messages} messages; sealed {resealed} fields anew.",
        "已清除 {erased} 个账号;删除 {exports} 份导出与 {messages} 条消息;重新加密 {resealed} 个字段。",
    ),
    # errors, each with a way out
    "role_unknown": ("There is no role {role}. These are: {roles}", "没有角色 {role}。可选:{roles}"),
    "merchant_wrong": (
        "{merchant} is no id of a merchant: it begins with mer_ and has letters, digits, _, . and -.",
        "{merchant} 不是商家编号:须以 mer_ 开头,由字母、数字、_、. 与 - 组成。",
    ),
    "sessions_not_ended": (
        "The role is gone, but the sessions of {user} could not be ended ({code}): their tokens open no route of the staff any more.",
        "角色已收回,但未能结束 {user} 的会话({code}):其令牌已无法访问员工接口。",
    ),
    "journal_busy": (
        "Another upkeep is running. Look again with: stampede journal status",
        "另一维护正在执行。可执行 stampede journal status 查看。",
    ),
    "journal_lake_foreign": (
        "{detail} holds the records of another database. Set STAMPEDE_LAKE to a directory of its own, or move that one away.",
        "{detail} 存放的是另一数据库的记录。请将 STAMPEDE_LAKE 设为单独的目录,或移走该目录。",
    ),
    "journal_lake_lost": (
        "The archive's files are not in {detail}. Set STAMPEDE_LAKE to where they are (one directory that all machines mount).",
        "{detail} 中没有归档文件。请将 STAMPEDE_LAKE 设为其所在目录(各机器共同挂载的目录)。",
    ),
    "journal_lake_unwritable": (
        "The archive cannot be written: {detail}. Free some space or mend the rights, then run it again.",
        "无法写入归档:{detail}。请清理空间或修正权限后重试。",
    ),
    "journal_file_damaged": (
        "Shard {shard}: {detail}. Bring the file back from a backup; nothing more of this shard is pruned until then.",
        "分片 {shard}:{detail}。请从备份恢复该文件;在此之前不会继续清理该分片。",
    ),
    "journal_journal_gap": (
        "Shard {shard}: record {detail} is missing in the journal. Run: stampede audit",
        "分片 {shard}:日志缺少记录 {detail}。请执行 stampede audit。",
    ),
    "journal_records_differ": (
        "Shard {shard}: the table and the archive do not say the same ({detail}). Nothing was deleted. Run: stampede audit",
        "分片 {shard}:数据表与归档不一致({detail})。未删除任何记录。请执行 stampede audit。",
    ),
    "journal_entity_unreadable": (
        "Shard {shard}: {detail}. Its records stay. Run: stampede audit",
        "分片 {shard}:{detail}。其记录将保留。请执行 stampede audit。",
    ),
    "journal_snapshot_unreadable": (
        "Shard {shard}: the snapshot cannot be read ({detail}). Its records stay. Run: stampede audit",
        "分片 {shard}:无法读取快照({detail})。其记录将保留。请执行 stampede audit。",
    ),
    "not_running": (
        "No copy is running in {directory}. Start one with: stampede up (or set STAMPEDE_DATA_DIR, or STAMPEDE_DATABASE_URL).",
        "{directory} 中没有正在运行的实例。请执行 stampede up 启动(或设置 STAMPEDE_DATA_DIR、STAMPEDE_DATABASE_URL)。",
    ),
    "starting": ("The copy in {directory} is still starting. Try again in a moment.", "{directory} 中的实例仍在启动,请稍后再试。"),
    "foreign": (
        "{path} belongs to another user. Run this command as the user who started the copy.",
        "{path} 属于其他用户。请以启动该实例的用户执行此命令。",
    ),
    "database_away": (
        "PostgreSQL cannot be reached ({reason}). Check STAMPEDE_DATABASE_URL, or start a copy with: stampede up",
        "无法连接 PostgreSQL({reason})。请检查 STAMPEDE_DATABASE_URL,或执行 stampede up 启动实例。",
    ),
    "ray_ended": (
        "Ray has ended ({process}). What was acknowledged is safe in PostgreSQL. Start again with: stampede up. Ray's logs are in {logs}.",
        "Ray 已退出({process})。已确认的数据均安全保存在 PostgreSQL 中。请重新执行:stampede up。Ray 日志位于 {logs}。",
    ),
    "up_another_copy": (
        "Another copy is running in {directory}. Stop it, or set STAMPEDE_DATA_DIR to another directory and other ports.",
        "{directory} 中已有另一个实例在运行。请先停止它,或将 STAMPEDE_DATA_DIR 设为其他目录并改用其他端口。",
    ),
    "up_port_taken": (
        "Port {port} on {host} is taken ({reason}). Free it, or set {name} to another one.",
        "{host} 的端口 {port} 已被占用({reason})。请释放该端口,或将 {name} 设为其他端口。",
    ),
    "up_database_away": (
        "PostgreSQL cannot be reached: {reason}. Check STAMPEDE_DATABASE_URL.",
        "无法连接 PostgreSQL:{reason}。请检查 STAMPEDE_DATABASE_URL。",
    ),
    "up_unsafe_database": (
        "PostgreSQL has {setting} = {value}: an acknowledged order could be lost. Set {setting} = on and start again.",
        "PostgreSQL 的 {setting} = {value},已确认的订单可能丢失。请将 {setting} 设为 on 后重新启动。",
    ),
    "up_wrong_keys": (
        "Personal fields were sealed with another field key {name}. Bring back {file} of the data directory, or set STAMPEDE_FIELD_KEYS.",
        "该数据库的个人信息字段使用了另一把密钥({name})加密。请恢复其数据目录中的 {file} 文件,或设置 STAMPEDE_FIELD_KEYS。",
    ),
    "up_ray_failed": (
        "Ray did not start in {tries} tries. Its logs are in {logs}. The last error: {reason}",
        "Ray 尝试 {tries} 次仍未能启动。日志位于 {logs}。最后的错误:{reason}",
    ),
    "up_serve_failed": (
        "The storefront did not start ({reason}): the machine may be too busy, try again. Its logs are in {logs}.",
        "商城前端未能启动({reason})。机器可能过于繁忙,请重试。日志位于 {logs}。",
    ),
    "up_simulator_silent": (
        "The payment simulator does not answer on port {port}. Its log is {log}.",
        "支付模拟器在端口 {port} 上没有响应。日志位于 {log}。",
    ),
    "up_not_ready": (
        "The storefront on port {port} is not ready after {seconds} s. See {directory} for logs.",
        "端口 {port} 上的商城前端在 {seconds} 秒后仍未就绪。日志位于 {directory}。",
    ),
    "not_migrated": ("The database has no schema of ours yet. Run: stampede migrate", "数据库尚未建表。请执行:stampede migrate"),
    "setting_wrong": ("A setting cannot be used: {reason}", "设置无效:{reason}"),
    "refused": ("{reason} ({code})", "{reason}({code})"),
    "nothing_to_seed": ("Say what to make: --shop, or --users with --tokens.", "请指明要生成的内容:--shop,或 --users 与 --tokens。"),
    "shop_unknown": ("There is no shop called {shop}: it is demo, small or none.", "没有名为 {shop} 的商城:可选 demo、small 或 none。"),
    "tokens_missing": ("--users needs --tokens FILE, where their tokens go.", "--users 需要 --tokens FILE 来保存令牌。"),
    "file_unwritable": ("{file} cannot be written ({reason}). Choose another place.", "无法写入 {file}({reason}),请另选位置。"),
    "not_logged_in": (
        "{count} users could not be given a session ({code}). Run the same command again: what is done stays done.",
        "{count} 个用户未能建立会话({code})。请重新执行同一命令,已完成的部分会保留。",
    ),
    "sale_incomplete": (
        "Say what is sold: --sku, --stock and --price (or --demo).",
        "请指明出售内容:--sku、--stock 与 --price(或使用 --demo)。",
    ),
    "draw_incomplete": ("A draw needs --draws-in and --winners.", "抽签模式需要 --draws-in 与 --winners。"),
    "mode_unknown": ("The mode is first_come or draw, not {mode}.", "模式只能是 first_come 或 draw,不能是 {mode}。"),
    "time_wrong": ("{text} is no time. Write one like 2030-11-11T00:00:00Z.", "{text} 不是有效时间,请写成 2030-11-11T00:00:00Z 的形式。"),
    "ends_first": ("The sale ends before it opens. Check --opens-at and --ends-at.", "活动结束早于开始。请检查 --opens-at 与 --ends-at。"),
    "times_twice": ("Give --opens-in or --opens-at, not both.", "--opens-in 与 --opens-at 只能二选一。"),
    "shop_empty": (
        "There is no article to sell. Load a shop with: stampede seed --shop demo",
        "没有可售商品。请执行:stampede seed --shop demo",
    ),
    "host_unknown": ("There is no live host {host}. These are: {hosts}", "没有名为 {host} 的在线主机。现有:{hosts}"),
    "host_alone": (
        "{host} is the only host: nobody could take its shards. Start another one first (STAMPEDE_HOSTS).",
        "{host} 是唯一的主机,没有其他主机可接收其分片。请先启动另一台(STAMPEDE_HOSTS)。",
    ),
    "drain_slow": (
        "{host} still owns {count} shards after {seconds} s. It stays marked; look again with: stampede status",
        "{seconds} 秒后 {host} 仍持有 {count} 个分片。标记保留;可执行 stampede status 查看。",
    ),
}


def is_chinese(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the person reads Chinese, by ``LC_ALL``, ``LC_MESSAGES`` and ``LANG``."""
    chosen = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return chosen.lower().startswith("zh")


def say(word: str, **params: object) -> str:
    """The text of a word in the person's language."""
    english, chinese = WORDS[word]
    return (chinese if is_chinese() else english).format_map(params)


class Trouble(Exception):
    """A command cannot do what was asked. The text says why, and the way out; the exit code is 1."""

    def __init__(self, word: str, **params: object) -> None:
        super().__init__(say(word, **params))
        self.word = word
