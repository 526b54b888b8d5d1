"""The table of error codes: one line a code, with its HTTP status and what people read.

A problem says what is wrong and what to do. Codes are stable: clients branch on them. The text
exists in en and zh-CN; ``{name}`` is filled from the refusal's parameters.
"""

from typing import Any, Final

import msgspec


class ProblemType(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    status: int
    en: str
    zh: str
    retry_after_s: int | None = None


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 problem details, with our ``code`` and, where it helps, ``params``."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    instance: str | None = None
    params: dict[str, Any] | None = None


def _row(status: int, en: str, zh: str, retry_after_s: int | None = None) -> ProblemType:
    return ProblemType(status=status, en=en, zh=zh, retry_after_s=retry_after_s)


PROBLEMS: Final[dict[str, ProblemType]] = {
    # request shape
    "malformed_body": _row(400, "The body is not valid JSON. Send UTF-8 JSON.", "请求体不是有效的 JSON,请发送 UTF-8 编码的 JSON。"),
    "invalid_request": _row(422, "A field is missing, unknown or out of range: {reason}", "字段缺失、未知或超出范围:{reason}"),
    "body_too_large": _row(413, "The body is larger than {limit} bytes. Send less at once.", "请求体超过 {limit} 字节,请分批发送。"),
    "header_too_large": _row(431, "The request headers are too large.", "请求头过大。"),
    "unsupported_media_type": _row(415, "Send the body as application/json.", "请以 application/json 发送请求体。"),
    "sheet_type_unsupported": _row(415, "Send a CSV or an Excel workbook (.xlsx), as text/csv or its own type.", "请上传 CSV 或 Excel 工作簿(.xlsx),并使用相应的 Content-Type。"),
    "import_unknown": _row(404, "There is no such import.", "导入任务不存在。"),
    "import_flawed": _row(409, "The file has bad cells. Fix them and send it again.", "文件中有问题单元格,请修正后重新上传。"),
    "import_not_checked": _row(409, "The file is still being checked.", "文件仍在检查中。", retry_after_s=2),
    "import_ended": _row(409, "This import has ended.", "该导入任务已结束。"),
    "imports_waiting": _row(429, "Too many imports are under way. Wait until some have ended.", "导入任务过多,请等待部分任务结束。", retry_after_s=30),
    "import_failed": _row(500, "The import failed, and nothing was changed. The log says why.", "导入失败,未作任何更改,原因见日志。"),
    "import_goods_changed": _row(409, "Somebody changed the same goods meanwhile. Run the import again.", "导入期间商品被他人修改,请重新导入。"),
    "report_unknown": _row(404, "There is no such file of this import: no cell is bad, or its days are over.", "该导入任务没有此文件:没有问题单元格,或已过期删除。"),
    "export_failed_now": _row(503, "The export could not be made. Try again.", "导出失败,请重试。", retry_after_s=10),
    "not_found": _row(404, "There is no such resource.", "资源不存在。"),
    "method_not_allowed": _row(405, "This resource does not take this method.", "该资源不支持此方法。"),
    "idempotency_key_missing": _row(400, "Send an Idempotency-Key header (8 to 64 letters, digits, - or _).", "请携带 Idempotency-Key 请求头(8 至 64 位字母、数字、- 或 _)。"),
    "idempotency_key_reused": _row(422, "This Idempotency-Key was used with another body. Use a new key for a new request.", "该 Idempotency-Key 已用于不同的请求,请使用新的键。"),
    # who
    "unauthenticated": _row(401, "Log in and send the access token.", "请登录并携带访问令牌。"),
    "token_expired": _row(401, "The access token has expired. Refresh it.", "访问令牌已过期,请刷新。"),
    "token_revoked": _row(401, "This session was ended. Log in again.", "会话已结束,请重新登录。"),
    "forbidden": _row(403, "You may not do this.", "您没有权限执行此操作。"),
    "account_disabled": _row(403, "This account is closed. Ask the shop's support.", "该账号已停用,请联系客服。"),
    "csrf_refused": _row(403, "A cookie is accepted only from a page of this shop. Send the request from there, or with an access token.", "Cookie 仅接受来自本商城页面的请求;请从本商城页面发起,或改用访问令牌。"),
    "identity_taken": _row(409, "This belongs to another account. Log in to it, or merge the two.", "该身份已属于其他账号,请登录该账号或合并两个账号。"),
    "identities_full": _row(409, "An account holds at most {limit} ways to log in. Remove one first.", "一个账号最多绑定 {limit} 种登录方式,请先解绑一种。"),
    "identity_unknown": _row(404, "This account has no such way to log in.", "该账号没有此登录方式。"),
    "last_identity": _row(409, "This is the only way left to log in. Add another one first.", "这是唯一的登录方式,请先绑定其他方式。"),
    "login_not_offered": _row(404, "This shop does not know this way to log in.", "本商城不支持此登录方式。"),
    "state_invalid": _row(409, "This login was not begun here, was finished already, or took too long. Begin again.", "该登录并非由此处发起、已完成或已超时,请重新开始。"),
    "login_denied": _row(403, "The login was not confirmed. Begin again.", "登录未获确认,请重新开始。"),
    "provider_unavailable": _row(503, "The other service did not answer. Begin the login again.", "第三方登录服务暂无响应,请重新登录。", 2),
    "own_role": _row(409, "Nobody changes this for themselves. Ask another administrator.", "不能对自己执行此操作,请由其他管理员处理。"),
    "user_unknown": _row(404, "There is no such account.", "账号不存在。"),
    "role_unknown": _row(404, "There is no such role.", "角色不存在。"),
    "merchant_unknown": _row(422, "A merchant's role needs a merchant that exists, and no other role has one.", "商家角色须指定已存在的商家,其他角色不可指定商家。"),
    "last_administrator": _row(409, "This is the last administrator. Make another one first.", "这是最后一位管理员,请先指定另一位。"),
    "staff_account": _row(409, "This account has roles of the staff. Give them back first.", "该账号仍有员工角色,请先收回。"),
    "product_not_found": _row(404, "There is no such product.", "商品不存在。"),
    "product_changed": _row(409, "Somebody changed this product in the meantime. Read it again.", "该商品已被他人修改,请重新读取后再编辑。"),
    "product_flawed": _row(422, "The product cannot be so: {count} things are wrong.", "商品资料有 {count} 处问题。"),
    "revision_not_found": _row(404, "The product has no such revision.", "该商品没有此版本。"),
    "category_unknown": _row(404, "There is no such category.", "分类不存在。"),
    "category_flawed": _row(422, "The category cannot be so: {count} things are wrong.", "分类资料有 {count} 处问题。"),
    "category_in_use": _row(409, "The category has products or others below it. Move them first.", "该分类下仍有商品或子分类,请先移走。"),
    "brand_unknown": _row(404, "There is no such brand.", "品牌不存在。"),
    "brand_flawed": _row(422, "The brand cannot be so: {count} things are wrong.", "品牌资料有 {count} 处问题。"),
    "brand_in_use": _row(409, "The brand has products. Give them another one first.", "该品牌仍有商品,请先更换。"),
    "address_unknown": _row(404, "There is no such address.", "地址不存在。"),
    "address_limit": _row(409, "The address book is full. Remove an address first.", "地址簿已满,请先删除一个地址。"),
    "region_unknown": _row(404, "There is no such place.", "行政区划不存在。"),
    "export_unknown": _row(404, "There is no such export.", "导出任务不存在。"),
    "export_waiting": _row(409, "The export is not ready yet. Ask again in a minute.", "导出尚未完成,请稍后再试。", 30),
    "export_failed": _row(409, "The export could not be made. Ask for a new one.", "导出失败,请重新申请。"),
    "account_closed": _row(409, "This account is closed.", "该账号已关闭。"),
    "wrong_credentials": _row(401, "The name or the password is wrong.", "账号或密码错误。"),
    "weak_password": _row(422, "The password is too easy to guess. Use at least 8 characters that are not common.", "密码过于简单,请使用至少 8 位且不常见的密码。"),
    "session_reused": _row(401, "This refresh token was used before. All its sessions were ended; log in again.", "刷新令牌被重复使用,相关会话已全部结束,请重新登录。"),
    "refresh_raced": _row(409, "This refresh token was exchanged a moment ago. Use the tokens of that answer.", "该刷新令牌刚刚已被使用,请使用那次返回的令牌。"),
    "session_unknown": _row(401, "There is no such session. Log in again.", "会话不存在,请重新登录。"),
    "too_many_sessions": _row(409, "Too many sessions are open. End one first.", "登录设备过多,请先退出一个。"),
    # codes
    "phone_invalid": _row(422, "This is no mobile phone number that we can write to. Give its country, as +86 138 0013 8000.", "无法向该号码发送短信,请填写有效的手机号码(非中国大陆号码请带国家或地区代码,如 +852)。"),
    "code_unknown": _row(409, "This code is not the newest one for this. Use the newest, or ask for another.", "验证码不存在或已被新的验证码取代,请使用最新的验证码或重新获取。"),
    "code_wrong": _row(422, "The code is wrong. {left} tries are left.", "验证码错误,还可尝试 {left} 次。"),
    "code_expired": _row(409, "The code has expired. Ask for another.", "验证码已过期,请重新获取。"),
    "code_spent": _row(409, "The code was used before. Ask for another.", "验证码已使用,请重新获取。"),
    "code_killed": _row(409, "The code was guessed too often and is void. Ask for another.", "验证码错误次数过多,已失效,请重新获取。"),
    "code_too_soon": _row(429, "A code was sent a moment ago. Wait {retry_after_s} seconds.", "验证码刚刚发送,请 {retry_after_s} 秒后再试。", 60),
    "code_limit": _row(429, "Too many codes were sent to this number or address today.", "该号码或邮箱今日获取验证码次数过多,请明日再试。", 3600),
    "sms_budget_spent": _row(429, "No more text messages can be sent to this country for now. Use e-mail.", "暂时无法向该国家或地区发送更多短信,请使用邮箱。", 3600),
    "message_not_sent": _row(503, "The message could not be sent. Try again, or use another way.", "消息发送失败,请重试或使用其他方式。", 5),
    # second factors
    "second_factor_required": _row(401, "This account has a second factor. Finish the login with it.", "该账号已启用二次验证,请完成验证后登录。"),
    "login_ticket_invalid": _row(401, "This login was not begun here, or its five minutes are over. Log in again.", "登录凭据无效或已超过五分钟,请重新登录。"),
    "step_up_required": _row(403, "Prove a second factor first, then ask again.", "请先完成二次验证,再重试。"),
    "no_second_factor": _row(409, "There is no second factor. Add one first.", "尚未设置二次验证方式,请先添加。"),
    "method_unavailable": _row(409, "This account cannot prove itself in this way.", "该账号不支持此验证方式。"),
    "factor_unknown": _row(404, "There is no such device or passkey.", "没有该验证设备或通行密钥。"),
    "factor_wrong": _row(403, "The code is wrong.", "验证码错误。"),
    "factor_code_used": _row(403, "This code was used before. Wait for the next one.", "该验证码已使用,请等待下一个。"),
    "factor_locked": _row(429, "Too many wrong codes. Wait {retry_after_s} s, or use another method.", "验证码错误次数过多,请等待 {retry_after_s} 秒或改用其他方式。", 60),
    "own_factors": _row(403, "Nobody resets their own second factors. Ask a colleague.", "不能重置本人的二次验证,请由同事操作。"),
    "reset_unknown": _row(404, "No reset of second factors is waiting, or the code is none.", "没有待处理的二次验证重置,或重置码无效。"),
    "reset_over": _row(409, "This reset was cancelled or is done.", "该重置已取消或已完成。"),
    "too_many_factors": _row(409, "There are at most {limit} of these. Remove one first.", "最多可设置 {limit} 个,请先移除一个。"),
    "passkey_known": _row(409, "This passkey is registered already.", "该通行密钥已注册。"),
    "passkey_refused": _row(403, "The passkey's answer does not fit the question.", "通行密钥的应答与请求不符。"),
    "passkey_cloned": _row(403, "This passkey may have been copied. It was refused; use another method and remove it.", "该通行密钥可能已被复制,已拒绝;请改用其他方式并将其移除。"),
    "challenge_invalid": _row(403, "This question was answered before, is too old, or was another one's. Begin again.", "该验证请求已使用、已过期或不属于您,请重新开始。"),
    # load
    "rate_limited": _row(429, "Too many requests. Wait and try again.", "请求过于频繁,请稍后再试。", 1),
    "busy": _row(503, "The shop is very busy. Try again with the same Idempotency-Key.", "系统繁忙,请使用相同的 Idempotency-Key 重试。", 1),
    "outcome_unknown": _row(503, "It is not known yet whether this took effect. Ask again with the same Idempotency-Key.", "结果尚未确定,请使用相同的 Idempotency-Key 重试。", 1),
    "deadline_passed": _row(503, "The request waited too long and was not carried out. Try again.", "请求等待超时且未执行,请重试。", 1),
    "moved": _row(503, "The shard is moving. Try again.", "分片迁移中,请重试。", 1),
    "storage_unavailable": _row(503, "The database cannot be reached. Nothing was changed; try again.", "数据库暂不可用,未作任何更改,请重试。", 2),
    "storage_busy": _row(503, "Somebody else is writing the same things, perhaps a large import. Nothing was changed; try again in a few seconds.", "他人正在写入相同数据(可能是大批量导入),未作任何更改,请几秒后重试。", 3),
    "command_poisoned": _row(500, "This command fails every time it is run and is now refused.", "该命令反复执行失败,已被拒绝。"),
    "internal_error": _row(500, "Something went wrong on our side. It was recorded.", "系统内部错误,已记录。"),
    # behaviour events
    "events_busy": _row(503, "Events are taken more slowly now. Keep them and send them again later.", "行为事件处理繁忙,请保留并稍后重发。", 5),
    "events_full": _row(503, "There is no room for events now. Keep them and send them again later.", "行为事件存储空间不足,请保留并稍后重发。", 60),
    # stock
    "sku_unknown": _row(404, "There is no such article.", "商品不存在。"),
    "sku_not_on_sale": _row(422, "This article is not on sale.", "商品未上架。"),
    "insufficient_stock": _row(409, "There is not enough stock: {available} left.", "库存不足,剩余 {available} 件。"),
    "sold_out": _row(409, "Sold out.", "已售罄。"),
    "hold_unknown": _row(409, "This reservation does not exist or has ended.", "预留不存在或已结束。"),
    "hold_released": _row(409, "This reservation was released.", "预留已释放。"),
    "quantity_invalid": _row(422, "The quantity must be a whole number from 1 to {limit}.", "数量必须是 1 到 {limit} 的整数。"),
    # tags and the life cycle
    "tag_unknown": _row(404, "There is no such tag.", "标签不存在。"),
    "tags_full": _row(409, "There are as many tags as there may be. Remove one first.", "标签数量已达上限,请先删除一个。"),
    "tag_rule_invalid": _row(422, "This is no rule ({reason}): {detail}", "规则无效({reason}):{detail}"),
    "proposal_unknown": _row(404, "There is no such proposal.", "经营建议不存在。"),
    "proposal_closed": _row(409, "This proposal was decided or has expired.", "该建议已处理或已失效。"),
    "proposal_outdated": _row(409, "The facts have changed since this was proposed. Look at it again.", "相关指标已变化,请重新查看该建议。"),
    "proposal_incomplete": _row(409, "Something is missing before the shelf; the evidence says what.", "上架信息不完整,缺少内容见建议依据。"),
    "purchase_unknown": _row(404, "There is no such order at a supplier.", "采购单不存在。"),
    "purchase_state": _row(409, "An order at a supplier cannot do this in its state.", "采购单当前状态不允许此操作。"),
    "move_unknown": _row(404, "No units are on their way under this id.", "没有该编号的在途调拨。"),
    "warehouse_unknown": _row(404, "There is no such warehouse.", "仓库不存在。"),
    "warehouse_code_taken": _row(409, "Another warehouse has this code.", "该仓库编码已被使用。"),
    "warehouse_limit": _row(409, "There are as many warehouses as there may be.", "仓库数量已达上限。"),
    "warehouse_in_use": _row(409, "This warehouse has or had stock. Make it inactive instead.", "该仓库有库存或调拨记录,请改为停用。"),
    # cart
    "cart_full": _row(409, "The cart holds at most {limit} different articles.", "购物车最多容纳 {limit} 种商品。"),
    "cart_empty": _row(422, "The cart is empty.", "购物车为空。"),
    "cart_changed": _row(409, "The cart changed meanwhile. Read it again.", "购物车已变化,请重新读取。"),
    # quota
    "coupon_unknown": _row(404, "There is no such coupon.", "优惠券不存在。"),
    "coupon_exhausted": _row(409, "All of this coupon have been taken.", "优惠券已被领完。"),
    "coupon_limit": _row(409, "You have used this coupon as often as is allowed.", "您使用该优惠券的次数已达上限。"),
    "coupon_not_active": _row(409, "This coupon is not valid now.", "优惠券当前不可用。"),
    "coupon_not_applicable": _row(422, "This coupon does not apply to these articles.", "优惠券不适用于这些商品。"),
    "claim_released": _row(409, "This claim on the coupon was given back.", "该优惠券占用已退回。"),
    "claim_redeemed": _row(409, "This claim on the coupon was redeemed and cannot be given back.", "该优惠券占用已核销,无法退回。"),
    "claim_unknown": _row(409, "There is no such claim on the coupon.", "优惠券占用不存在。"),
    "quota_below_used": _row(409, "{used} of this coupon are taken already; its total cannot be less.", "该优惠券已被占用 {used} 张,总量不能更低。"),
    # membership
    "member_level_changed": _row(409, "Your membership level has just changed, and the prices with it. Order again.", "您的会员等级刚刚变化,价格随之调整,请重新下单。"),
    "coupon_not_yours": _row(422, "This coupon is personal, and you do not have it.", "该优惠券为专享券,您尚未持有。"),
    "points_insufficient": _row(409, "You do not have that many points: {available} left.", "积分不足,剩余 {available} 积分。"),
    "points_not_taken": _row(422, "Points cannot be used for this order.", "该订单不能使用积分。"),
    "points_changed": _row(409, "This item now costs {points} points. Confirm it and send again.", "该商品现需 {points} 积分,请确认后重新提交。"),
    "mall_item_unknown": _row(404, "There is no such item in the points mall.", "积分商城中没有该商品。"),
    "mall_item_gone": _row(409, "All of this item have been taken.", "该商品已兑完。"),
    "mall_item_limit": _row(409, "You have taken this item as often as is allowed.", "您兑换该商品的次数已达上限。"),
    "sign_in_day": _row(409, "The day has just changed. Sign in again.", "日期刚刚变更,请重新签到。"),
    "birthday_locked": _row(409, "The birthday can be changed once a year.", "生日每年只能修改一次。"),
    "free_shipping_used": _row(409, "All {limit} free deliveries of this month are used.", "本月 {limit} 次免运费已用完。"),
    # sale
    "sale_unknown": _row(404, "There is no such sale.", "活动不存在。"),
    "sale_not_open": _row(409, "The sale has not begun.", "活动尚未开始。"),
    "sale_ended": _row(410, "The sale has ended.", "活动已结束。"),
    "sale_state": _row(409, "A sale that is {state} cannot do this.", "活动处于 {state} 状态,无法执行。"),
    "sale_full": _row(409, "This sale takes at most {limit} entries.", "该活动最多接受 {limit} 人报名。"),
    "ticket_missing": _row(403, "This sale needs an admission ticket.", "参与该活动需要入场券。"),
    "ticket_invalid": _row(403, "The admission ticket is not valid for you and this sale.", "入场券对您或本活动无效。"),
    "ticket_expired": _row(403, "The admission ticket has expired. Get a new one.", "入场券已过期,请重新领取。"),
    "ticket_used": _row(409, "The admission ticket was used before.", "入场券已使用。"),
    "not_drawn": _row(403, "You were not drawn for this sale.", "您未被抽中。"),
    "purchase_limit": _row(409, "You may buy at most {limit} of this.", "每人限购 {limit} 件。"),
    # order
    "payout_account_invalid": _row(422, "This account cannot be right: look at {reason}.", "收款账户信息有误,请检查 {reason}。"),
    # warehouses
    "wms_connection_unknown": _row(404, "There is no such connection to a warehouse, or it was closed.", "仓库连接不存在或已关闭。"),
    "wms_connections_full": _row(409, "There are as many connections as there may be. Close one first.", "仓库连接数已达上限,请先关闭一个。"),
    "wms_warehouse_taken": _row(409, "Another open connection leads to this warehouse. Close it first.", "该仓库已有其他连接,请先关闭。"),
    "wms_url_refused": _row(422, "This address cannot be called: {reason}.", "该地址不可调用:{reason}。"),
    "wms_secret_invalid": _row(422, "A secret is whsec_ and the base64 of 24 to 64 bytes.", "密钥须为 whsec_ 加 24 至 64 字节的 base64。"),
    "wms_letter_unknown": _row(404, "There is no such message.", "消息不存在。"),
    "wms_letter_state": _row(409, "Only a dead message can be repeated or dropped; this one is {state}.", "仅死信可重发或丢弃;该消息状态为 {state}。"),
    "wms_letter_too_late": _row(409, "It may have been carried out too long ago to be known again. Compare the counts instead.", "该消息可能早已生效且无法再识别,请改用盘点对账。"),
    "wms_reference_used": _row(409, "This reference was used for another purchase order.", "该编号已用于其他采购单。"),
    "wms_snapshot_unknown": _row(404, "There is no such count, or it is not whole yet.", "盘点快照不存在或尚不完整。"),
    "wms_run_unknown": _row(404, "There is no such comparison.", "对账不存在。"),
    "wms_run_state": _row(409, "Only a finished comparison can be applied.", "仅已完成的对账可以应用。"),
    "wms_run_stale": _row(409, "Another comparison was applied since. Make a new one.", "此后已应用过其他对账,请重新发起。"),
    "merchant_not_found": _row(404, "There is no such merchant.", "商家不存在。"),
    "order_unknown": _row(404, "There is no such order.", "订单不存在。"),
    "order_state": _row(409, "An order that is {state} cannot do this.", "订单处于 {state} 状态,无法执行。"),
    "total_changed": _row(409, "The total is now {total}. Confirm it and send again.", "总价已变为 {total},请确认后重新提交。"),
    "too_many_open_orders": _row(409, "You have {limit} unpaid orders. Pay or cancel one first.", "您有 {limit} 笔未付款订单,请先付款或取消。"),
    "currency_mixed": _row(422, "All articles of an order must have one currency.", "同一订单的商品必须使用同一币种。"),
    "currency_not_offered": _row(422, "{sku_id} is not sold in this currency.", "商品 {sku_id} 不支持以该币种购买。"),
    "address_invalid": _row(422, "The address is not complete: {reason}", "地址不完整:{reason}"),
    "order_abandoned": _row(409, "This order was abandoned. Place a new one.", "该订单已作废,请重新下单。"),
    # images
    "image_empty": _row(422, "The file is empty. Choose a picture.", "文件为空,请选择图片。"),
    "image_svg": _row(422, "SVG is not taken: it can carry programs. Send the picture as PNG or WebP.", "不支持 SVG(其中可能包含脚本),请转为 PNG 或 WebP。"),
    "image_format": _row(422, "This is no JPEG, PNG, WebP, GIF or AVIF, whatever its name says.", "文件内容不是 JPEG、PNG、WebP、GIF 或 AVIF 图片(与文件名无关)。"),
    "image_broken": _row(422, "The picture cannot be read to its end. Save it anew and send it again.", "图片无法完整读取,请重新保存后再上传。"),
    "image_too_large": _row(422, "The picture has too many pixels: at most {pixels} million, and {side} on a side. Make it smaller.", "图片像素过多:最多 {pixels} 百万像素,单边不超过 {side} 像素,请缩小后再上传。"),
    "image_frames": _row(422, "The animation has more than {frames} frames. Send a still picture.", "动画超过 {frames} 帧,请上传静态图片。"),
    "image_too_costly": _row(422, "The picture takes too much memory or time to read. Save it anew, smaller.", "读取该图片占用过多内存或时间,请缩小并重新保存后再上传。"),
    # payment
    "payment_unavailable": _row(503, "The payment provider cannot be reached. The order is kept; try again.", "支付渠道暂不可用,订单已保留,请重试。", 2),
    "payment_declined": _row(402, "The payment was declined. Use another means.", "支付被拒绝,请更换支付方式。"),
    "signature_invalid": _row(401, "The signature does not match.", "签名不匹配。"),
    "signature_stale": _row(401, "The signature is too old.", "签名已过期。"),
    "payment_mismatch": _row(422, "The payment does not match the order.", "支付与订单不符。"),
}


def problem_of(code: str, params: dict[str, Any] | None = None, *, language: str = "en", instance: str | None = None) -> Problem:
    """The problem body of a code; an unknown code is a bug and becomes ``internal_error``."""
    row = PROBLEMS.get(code)
    if row is None:
        code, row = "internal_error", PROBLEMS["internal_error"]
    template = row.zh if language.startswith("zh") else row.en
    title = template.format_map(_Blank(params or {}))
    return Problem(type=f"urn:stampede:problem:{code}", title=title, status=row.status, code=code, instance=instance, params=params or None)


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"
