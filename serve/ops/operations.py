"""What the document says of each operation, in both languages, and the operations that are hot."""

from typing import Any, Final, NamedTuple

from schemas.http.carts import Cart
from schemas.http.catalogue import Product, ProductPage
from schemas.http.events import EventBatch, EventsTaken
from schemas.http.goods import CategoryTree
from schemas.http.hooks import Health
from schemas.http.sales import FlashOrder, OrderPlaced, SalePage
from schemas.http.search import SearchPage, Suggestions


class Said(NamedTuple):
    """en, zh: one line for people. tag: where it stands in the page. who: the permission that it takes (``schemas.permissions``).

    There is no default: an operation that does not say who may use it keeps the application from being built.
    """

    en: str
    zh: str
    tag: str
    who: str = ""
    keyed: bool = False


SAID: Final[dict[str, Said]] = {
    "register": Said("Open an account", "注册账号", "accounts", "public", keyed=True),
    "logIn": Said("Log in", "登录", "accounts", "public", keyed=True),
    "refreshSession": Said("Exchange a refresh token for new tokens", "用刷新令牌换取新令牌", "accounts", "public"),
    "logInByCode": Said("Log in with a code", "验证码登录", "accounts", "public", keyed=True),
    "resetPassword": Said("Set a new password with a code", "用验证码重置密码", "accounts", "public", keyed=True),
    "changePassword": Said("Set a new password", "修改密码", "accounts", "customer"),
    "readMe": Said("Who is logged in", "当前账号", "accounts", "customer"),
    "addIdentity": Said("Add an address or number to log in by", "绑定邮箱或手机号", "accounts", "customer", keyed=True),
    "mergeAccounts": Said("Become one with one's other account", "合并到另一个账号", "accounts", "customer", keyed=True),
    "listSessions": Said("List one's open sessions", "列出自己的登录会话", "accounts", "customer"),
    "logOut": Said("End one session", "退出一个会话", "accounts", "customer"),
    "logOutEverywhere": Said("End all sessions", "退出全部会话", "accounts", "customer"),
    "listLogins": Said("See which third-party logins are offered", "查看支持的第三方登录", "accounts", "public"),
    "beginLogin": Said("Begin a third-party login, or a link", "发起第三方登录或绑定", "accounts", "public"),
    "finishLogin": Said("Finish a third-party login, or a link", "完成第三方登录或绑定", "accounts", "public"),
    "finishNativeLogin": Said("Finish a login that an app of ours made at Apple", "完成 App 内的 Apple 登录", "accounts", "public"),
    "finishMiniProgramLogin": Said("Log in from the WeChat mini-program", "微信小程序登录", "accounts", "public"),
    "listIdentities": Said("List the ways one logs in", "列出登录方式", "accounts", "customer"),
    "removeIdentity": Said("Remove a way to log in", "解绑登录方式", "accounts", "customer"),
    "appleReturn": Said("Where Apple sends people back by a form", "Apple 登录表单回调", "machines", "public"),
    "appleNotification": Said("Called by Apple when somebody takes their leave back", "Apple 服务器通知", "machines", "public"),
    "sendCode": Said("Have a one-time code sent", "获取验证码", "accounts", "public", keyed=True),
    "listProducts": Said("Browse the catalogue", "浏览商品目录", "catalogue", "public"),
    "searchProducts": Said("Search for products", "搜索商品", "catalogue", "public"),
    "suggest": Said("See what one may mean who has typed so much", "搜索建议", "catalogue", "public"),
    "readProduct": Said("Look at a product", "查看商品", "catalogue", "public"),
    "readPrices": Said("See what articles cost oneself now, and why", "查看商品对本人的现价及原因", "catalogue", "customer"),
    "readSale": Said("Look at a flash sale", "查看秒杀活动", "flash sales", "public"),
    "readFactors": Said("See one's second factors", "查看二次验证方式", "second factors", "customer"),
    "enrolTotp": Said("Begin to add an authenticator app", "开始添加身份验证器", "second factors", "customer", keyed=True),
    "confirmTotp": Said("Confirm an authenticator app by its first code", "用首个验证码确认身份验证器", "second factors", "customer"),
    "renameFactor": Said("Rename a device or a passkey", "重命名验证设备或通行密钥", "second factors", "customer"),
    "removeFactor": Said("Remove a device or a passkey", "移除验证设备或通行密钥", "second factors", "customer"),
    "makeRecoveryCodes": Said("Make ten recovery codes; the old ones are dead", "生成十个恢复码,旧码作废", "second factors", "customer"),
    "passkeyOptions": Said("Ask what a browser needs to make a passkey", "获取创建通行密钥的参数", "second factors", "customer"),
    "addPasskey": Said("Keep a passkey", "保存通行密钥", "second factors", "customer"),
    "useSms": Said("Let codes to one's telephone be a second factor", "启用短信验证码作为二次验证", "second factors", "customer"),
    "dropSms": Said("Let codes by SMS be no second factor", "停用短信二次验证", "second factors", "customer"),
    "forgetDevices": Said("Ask every trusted device again", "取消全部受信任设备", "second factors", "customer"),
    "stepUp": Said("Prove a second factor in this session", "在当前会话中完成二次验证", "second factors", "customer"),
    "stepUpPasskeyOptions": Said(
        "Ask what a browser needs to step up by passkey", "获取用通行密钥验证的参数", "second factors", "customer"
    ),
    "stepUpSms": Said("Send a code to one's own telephone", "向本人手机发送验证码", "second factors", "customer"),
    "finishSecondFactor": Said("Finish a login by a second factor", "用二次验证完成登录", "second factors", "public"),
    "secondFactorPasskeyOptions": Said(
        "Ask what a browser needs to finish a login by passkey", "获取用通行密钥完成登录的参数", "second factors", "public"
    ),
    "secondFactorSms": Said("Send a code to finish a login", "发送完成登录的验证码", "second factors", "public"),
    "passkeyLoginOptions": Said("Ask what a browser needs to log in by passkey", "获取用通行密钥登录的参数", "second factors", "public"),
    "logInWithPasskey": Said("Log in by passkey, without a name", "用通行密钥登录,无需账号", "second factors", "public"),
    "placeFlashOrder": Said("Buy in a flash sale", "秒杀下单", "flash sales", "customer", keyed=True),
    "getTicket": Said("Get admission to a flash sale", "领取秒杀入场券", "flash sales", "customer", keyed=True),
    "enterDraw": Said("Take part in a draw", "报名抽签", "flash sales", "customer", keyed=True),
    "readCart": Said("Read the cart", "查看购物车", "cart", "cart"),
    "putCartLine": Said("Set the quantity of a line", "设置购物车商品数量", "cart", "cart"),
    "removeCartLine": Said("Take a line out", "移除购物车商品", "cart", "cart"),
    "watchCart": Said("See the cart change, on every terminal (server-sent events)", "实时查看购物车变化(服务器推送)", "cart", "cart"),
    "mergeCart": Said("Take a guest's cart over", "合并游客购物车", "cart", "customer"),
    "checkOut": Said("Order what is in the cart", "结算购物车", "orders", "customer", keyed=True),
    "listOrders": Said("List one's orders", "订单列表", "orders", "customer"),
    "readOrder": Said("Read an order", "查看订单", "orders", "customer"),
    "payOrder": Said("Begin to pay", "发起支付", "orders", "customer", keyed=True),
    "cancelOrder": Said("Cancel an unpaid order", "取消未付款订单", "orders", "customer"),
    "readMembership": Said("Read one's membership", "查看会员信息", "membership", "customer"),
    "signIn": Said("Sign in for today", "每日签到", "membership", "customer"),
    "listPoints": Said("List the moves of one's points", "积分明细", "membership", "customer"),
    "readPointsMall": Said("See what points buy", "积分商城", "membership", "customer"),
    "redeemPoints": Said("Exchange points for an item", "积分兑换", "membership", "customer", keyed=True),
    "setBirthday": Said("Say when one's birthday is", "设置生日", "membership", "customer"),
    "sendEvents": Said("Tell what was seen and done, in batches", "批量上报浏览与行为事件", "events", "anyone"),
    "stripeWebhook": Said("Called by the payment provider", "支付渠道回调", "machines", "public"),
    "liveness": Said("Is this process alive?", "进程存活检查", "machines", "public"),
    "readiness": Said("Can it serve?", "就绪检查", "machines", "public"),
    "metrics": Said("Counters for Prometheus", "Prometheus 指标", "machines", "public"),
    "readOutbox": Said("Messages that were not really sent, as a page", "开发用发件箱(网页)", "machines", "public"),
    "listOutbox": Said("Messages that were not really sent", "开发用发件箱", "machines", "public"),
    "benchEmpty": Said("What the listener costs by itself", "空请求基准", "machines", "public"),
    "listAddresses": Said("See one's address book", "查看地址簿", "addresses", "customer"),
    "addAddress": Said("Add an address", "新增地址", "addresses", "customer", keyed=True),
    "readAddress": Said("Read an address", "查看地址", "addresses", "customer"),
    "changeAddress": Said("Change an address", "修改地址", "addresses", "customer"),
    "makeAddressDefault": Said("Make an address the default", "设为默认地址", "addresses", "customer"),
    "removeAddress": Said("Remove an address", "删除地址", "addresses", "customer"),
    "listRegions": Said("Provinces, cities and districts of China", "中国省、市、区县列表", "addresses", "public"),
    "readEventConsent": Said("See what one allows of one's behaviour events", "查看行为事件授权", "privacy", "customer"),
    "setEventConsent": Said("Allow one's behaviour events, or not", "设置行为事件授权", "privacy", "customer"),
    "askExport": Said("Ask for a copy of everything about oneself", "申请导出本人的全部数据", "privacy", "customer"),
    "readExport": Said("See whether the copy is ready", "查看导出进度", "privacy", "customer"),
    "fetchExport": Said("Fetch the copy (ZIP)", "下载导出文件(ZIP)", "privacy", "customer"),
    "eraseMe": Said("Ask to be forgotten, after a second factor", "申请注销账号(需二次验证)", "privacy", "customer"),
    "eraseMeByPassword": Said("Ask to be forgotten, with the password", "申请注销账号(凭密码)", "privacy", "customer"),
    "readRoles": Said("See the roles of a user", "查看用户角色", "staff", "role.read"),
    "grantRole": Said("Give a role", "授予角色", "staff", "role.grant"),
    "revokeRole": Said("Take a role away", "收回角色", "staff", "role.grant"),
    "listStaffActions": Said("See what staff did", "查看员工操作记录", "staff", "action.read"),
    "readPerson": Said("See an account, masked", "查看账号(已遮蔽)", "staff", "person.read"),
    "unmaskPerson": Said("See personal fields in the clear, for a reason", "说明理由后查看个人信息", "staff", "person.unmask"),
    "disablePerson": Said("Close an account", "停用账号", "staff", "person.disable"),
    "enablePerson": Said("Open an account again", "恢复账号", "staff", "person.disable"),
    "endSessionsOf": Said("End all sessions of an account", "结束账号的全部会话", "staff", "person.sessions"),
    "askFactorReset": Said("Reset the second factors of an account, in a day", "重置账号的二次验证(一天后生效)", "staff", "person.factors"),
    "answerFactorReset": Said("Cancel or confirm the reset of one's second factors", "取消或确认二次验证重置", "second factors", "public"),
    "cancelFactorReset": Said("Cancel the reset of one's second factors", "取消二次验证重置", "second factors", "customer"),
    "listOrdersOf": Said("See the orders of an account", "查看账号的订单", "staff", "order.read"),
    "listPaidOrders": Said("See what is to be packed, by priority", "按优先级查看待发货订单", "staff", "order.read"),
    "cancelOrderOf": Said("Cancel an unpaid order for its buyer", "代买家取消未付款订单", "staff", "order.cancel"),
    "readStock": Said("See the stock of an article", "查看商品库存", "staff", "stock.read"),
    "listWarehouses": Said("See the warehouses", "查看仓库列表", "warehouses", "stock.read"),
    "readWarehouse": Said("See a warehouse", "查看仓库", "warehouses", "stock.read"),
    "addWarehouse": Said("Add a warehouse", "新增仓库", "warehouses", "warehouse.edit", keyed=True),
    "changeWarehouse": Said("Change a warehouse", "修改仓库", "warehouses", "warehouse.edit"),
    "removeWarehouse": Said("Remove an empty warehouse", "删除空仓库", "warehouses", "warehouse.edit"),
    "explainAllocation": Said("See from where a basket would be sent, and why", "试算订单分仓并说明原因", "warehouses", "stock.read"),
    "readOrderParcels": Said("See from where an order is sent, and why", "查看订单分仓及原因", "warehouses", "order.read"),
    "readStockPlaces": Said("See the stock of an article by warehouse and batch", "按仓库与批次查看库存", "warehouses", "stock.read"),
    "listStockMovements": Said("See the movements of an article's stock", "查看库存流水", "warehouses", "stock.read"),
    "receiveStock": Said("Receive units", "收货入库", "warehouses", "stock.adjust", keyed=True),
    "writeOffStock": Said("Write units off", "报损出库", "warehouses", "stock.adjust", keyed=True),
    "adjustStock": Said("Correct the books after a count", "盘点调整", "warehouses", "stock.adjust", keyed=True),
    "moveStock": Said("Send units to another warehouse", "调拨出库", "warehouses", "stock.adjust", keyed=True),
    "arriveStock": Said("Take in units from another warehouse", "调拨入库", "warehouses", "stock.adjust", keyed=True),
    "setSafetyStock": Said("Keep units from being sold", "设置安全库存", "warehouses", "stock.adjust"),
    "returnStock": Said("Take back units of an order", "退货入库", "warehouses", "stock.adjust", keyed=True),
    "explainPrice": Said(
        "See what an article costs at a time, for a level, and why", "查看商品在指定时间、等级下的价格及原因", "staff", "price.read"
    ),
    "listCoupons": Said("See the coupons and how many are taken", "查看优惠券及领用情况", "staff", "coupon.read"),
    "readLedger": Said("See the ledger's entries of an order", "查看订单的账本分录", "staff", "ledger.read"),
    "listCategories": Said("See the tree of categories", "查看分类树", "catalogue", "public"),
    "listStaffProducts": Said("Find products", "查询商品", "goods", "goods.read"),
    "createProduct": Said("Make a product", "新建商品", "goods", "goods.edit", keyed=True),
    "previewMatrix": Said("See which SKUs options would make", "预览规格组合", "goods", "goods.edit"),
    "readProductDocument": Said("See a product's document", "查看商品资料", "goods", "goods.read"),
    "replaceProduct": Said("Change a product", "修改商品", "goods", "goods.edit"),
    "moveProduct": Said("Put a product on the shelf, take it off, or retire it", "商品上架、下架、定时或退市", "goods", "goods.publish"),
    "revertProduct": Said("Bring an old revision of a product back", "恢复商品的历史版本", "goods", "goods.edit"),
    "listProductRevisions": Said("See who changed a product", "查看商品修改记录", "goods", "goods.read"),
    "readProductRevision": Said("See a product as it was", "查看商品的历史版本", "goods", "goods.read"),
    "compareProductRevisions": Said("See what is different between two revisions", "比较商品的两个版本", "goods", "goods.read"),
    "listStaffCategories": Said("See every category with its attributes", "查看全部分类及属性", "goods", "goods.read"),
    "createCategory": Said("Make a category", "新建分类", "goods", "category.edit", keyed=True),
    "replaceCategory": Said("Change or move a category", "修改或移动分类", "goods", "category.edit"),
    "deleteCategory": Said("Delete an empty category", "删除空分类", "goods", "category.edit"),
    "listBrands": Said("See the brands", "查看品牌", "goods", "goods.read"),
    "readBrand": Said("See a brand", "查看单个品牌", "goods", "goods.read"),
    "createBrand": Said("Make a brand", "新建品牌", "goods", "category.edit", keyed=True),
    "replaceBrand": Said("Change a brand", "修改品牌", "goods", "category.edit"),
    "deleteBrand": Said("Delete a brand without products", "删除无商品的品牌", "goods", "category.edit"),
    "createMerchantProduct": Said("Make a product of one's own firm", "新建本商家商品", "merchant", "merchant.goods.edit", keyed=True),
    "previewMerchantMatrix": Said("See which SKUs options would make", "预览规格组合", "merchant", "merchant.goods.edit"),
    "readMerchantProduct": Said("See the document of a product of one's own", "查看本商家商品资料", "merchant", "merchant.goods"),
    "replaceMerchantProduct": Said("Change a product of one's own", "修改本商家商品", "merchant", "merchant.goods.edit"),
    "moveMerchantProduct": Said("Put a product of one's own on or off the shelf", "本商家商品上下架", "merchant", "merchant.goods.edit"),
    "revertMerchantProduct": Said("Bring an old revision back", "恢复本商家商品的历史版本", "merchant", "merchant.goods.edit"),
    "listMerchantProductRevisions": Said("See who changed a product of one's own", "查看本商家商品修改记录", "merchant", "merchant.goods"),
    "readMerchantProductRevision": Said("See a product of one's own as it was", "查看本商家商品的历史版本", "merchant", "merchant.goods"),
    "compareMerchantProductRevisions": Said("Compare two revisions", "比较本商家商品的两个版本", "merchant", "merchant.goods"),
    "wmsWebhook": Said("Called by a warehouse's own system", "仓库系统回调", "machines", "public"),
    "listWmsConnections": Said("See the lines to warehouses", "查看仓库连接", "warehouses", "wms.read"),
    "addWmsConnection": Said(
        "Open a line to a warehouse; its secrets are shown once", "接入仓库(密钥仅显示一次)", "warehouses", "wms.act", keyed=True
    ),
    "changeWmsConnection": Said("Change, pause or close a line", "修改、暂停或关闭仓库连接", "warehouses", "wms.act"),
    "rollWmsSecret": Said(
        "Replace a secret; the old one is good for a while", "更换密钥(旧密钥暂时有效)", "warehouses", "wms.act", keyed=True
    ),
    "askWmsStock": Said("Ask a warehouse for its counts", "请求仓库上报库存", "warehouses", "wms.act", keyed=True),
    "sendPurchaseOrder": Said("Tell a warehouse of goods that will come", "下达采购入库通知", "warehouses", "wms.act", keyed=True),
    "listWmsLetters": Said("See the messages, the dead ones too", "查看往来消息与死信", "warehouses", "wms.read"),
    "readWmsLetter": Said("Read a message", "查看消息", "warehouses", "wms.read"),
    "retryWmsLetter": Said("Repeat a dead message", "重发死信", "warehouses", "wms.act"),
    "retryWmsLetters": Said("Repeat all dead messages of a line", "重发全部死信", "warehouses", "wms.act"),
    "dropWmsLetter": Said("Drop a dead message, for a reason", "说明理由后丢弃死信", "warehouses", "wms.act"),
    "listShipments": Said("See the parcels that warehouses told of", "查看包裹", "warehouses", "wms.read"),
    "compareCounts": Said("Compare our counts with a warehouse's", "发起库存对账", "warehouses", "wms.act", keyed=True),
    "listComparisons": Said("See the comparisons of counts", "查看库存对账", "warehouses", "wms.read"),
    "readComparison": Said("See the differences of a comparison", "查看对账差异", "warehouses", "wms.read"),
    "exportComparison": Said("Have the differences as CSV", "导出对账差异(CSV)", "warehouses", "wms.read"),
    "applyComparison": Said("Adjust our stock by the differences", "按差异调整库存", "warehouses", "wms.act"),
    "listMerchantProducts": Said("See the goods of one's own firm", "查看本商家的商品", "merchant", "merchant.goods"),
    "readPayoutAccount": Said("See where the money of one's own firm goes", "查看本商家的收款账户", "merchant", "merchant.payout"),
    "setPayoutAccount": Said("Let the money go elsewhere from tomorrow on", "设置收款账户(24 小时后生效)", "merchant", "merchant.payout"),
    "callOffPayoutAccount": Said("Call off an account that is not in force yet", "撤销尚未生效的收款账户", "merchant", "merchant.payout"),
    "readPayoutAccountOf": Said("See where a firm's money goes, masked", "查看商家收款账户(已遮蔽)", "staff", "payout.read"),
    "unmaskPayoutAccountOf": Said("See a payout account in the clear", "查看商家收款账户明文", "staff", "payout.unmask"),
    "staffLoginPage": Said("The login of the staff's pages", "员工工作台登录页", "staff pages", "public"),
    "staffLogIn": Said("Log in to the staff's pages", "登录员工工作台", "staff pages", "public"),
    "staffSecondFactor": Said("Finish a login to the staff's pages", "完成员工工作台登录(二次验证)", "staff pages", "public"),
    "staffRenewSession": Said("Go on with a session's next token", "续期员工工作台会话", "staff pages", "public"),
    "staffLogOut": Said("Log out of the staff's pages", "退出员工工作台", "staff pages", "customer"),
    "staffHomePage": Said("The pages that one may open", "员工工作台概览", "staff pages", "desk.open"),
    "staffProductsPage": Said("A list of products, as a page", "商品列表页", "staff pages", "goods.read"),
    "staffProductPage": Said("A product, as a page", "商品详情页", "staff pages", "goods.read"),
    "staffRevisionPage": Said("A revision of a product and what it changed", "商品历史版本及差异页", "staff pages", "goods.read"),
    "staffImportsPage": Said("Imports of goods, as a page", "批量导入列表页", "staff pages", "goods.import"),
    "staffUploadImport": Said("Send a file to import, by a form", "上传导入文件(表单)", "staff pages", "goods.import"),
    "staffImportPage": Said("An import and its bad cells, as a page", "导入任务页", "staff pages", "goods.import"),
    "staffRunImport": Said("Let a checked import run, by a form", "确认导入(表单)", "staff pages", "goods.import"),
    "staffCancelImport": Said("End an import, by a form", "取消导入(表单)", "staff pages", "goods.import"),
    "staffLifecyclePage": Said("How goods are doing, as a page", "商品生命周期页", "staff pages", "goods.watch"),
    "staffProposalsPage": Said("Proposals, as a page", "经营建议列表页", "staff pages", "goods.watch"),
    "staffProposalPage": Said("A proposal and its evidence, as a page", "经营建议详情页", "staff pages", "goods.watch"),
    "staffAcceptProposal": Said("Carry a proposal out, by a form", "采纳经营建议(表单)", "staff pages", "goods.watch"),
    "staffDismissProposal": Said("Dismiss a proposal, by a form", "忽略经营建议(表单)", "staff pages", "goods.watch"),
    "staffWmsPage": Said("The lines to warehouses, as a page", "仓储系统连接页", "staff pages", "wms.read"),
    "staffLettersPage": Said("Messages to and from warehouses, as a page", "仓储消息与死信页", "staff pages", "wms.read"),
    "staffLetterPage": Said("A message to or from a warehouse, as a page", "仓储消息详情页", "staff pages", "wms.read"),
    "staffRetryLetter": Said("Have a dead message tried again, by a form", "重试死信(表单)", "staff pages", "wms.act"),
    "staffDropLetter": Said("Let a dead message be, by a form", "放弃死信(表单)", "staff pages", "wms.act"),
    "staffRetryLetters": Said("Have all dead messages of a line tried again, by a form", "重试全部死信(表单)", "staff pages", "wms.act"),
    "staffComparisonsPage": Said("Comparisons of counts, as a page", "库存对账列表页", "staff pages", "wms.read"),
    "staffComparisonPage": Said("The differences of a comparison, as a page", "库存差异报告页", "staff pages", "wms.read"),
    "staffStockPage": Said("Warehouses, as a page", "仓库页", "staff pages", "stock.read"),
    "staffArticleStockPage": Said("Where an article is, and its movements, as a page", "商品库存与流水页", "staff pages", "stock.read"),
    "staffSearchPage": Said("The search, to be tried out, as a page", "搜索试用页", "staff pages", "goods.read"),
    "addImage": Said("Keep a picture", "上传图片", "staff", "image.add"),
    "addMerchantImage": Said("Keep a picture of one's own firm", "上传本商家的图片", "merchant", "image.add"),
    "readImage": Said("Look at a picture, in one of its sizes", "查看图片(指定宽度)", "catalogue", "public"),
    "listTags": Said("See the tags and their rules", "查看标签及规则", "goods", "tag.edit"),
    "putTag": Said("Make a tag, or change its rule", "新建或修改标签", "goods", "tag.edit"),
    "removeTag": Said("Take a tag away", "删除标签", "goods", "tag.edit"),
    "tryTag": Said("See which products a rule would change, and why", "试运行标签规则", "goods", "tag.edit"),
    "listProductTags": Said("See the tags of a product", "查看商品标签", "goods", "tag.edit"),
    "chooseProductTag": Said("Give a tag by hand, keep it off, or undo that", "手工添加、屏蔽或恢复商品标签", "goods", "tag.edit"),
    "readWatch": Said("See what sells, rises, falls and runs out", "查看商品动销概览", "goods", "goods.watch"),
    "readProductFacts": Said("See what is known of a product", "查看商品指标", "goods", "goods.watch"),
    "listProposals": Said("See what the rules propose", "查看经营建议", "goods", "goods.watch"),
    "readProposal": Said("Read a proposal with its evidence", "查看经营建议及依据", "goods", "goods.watch"),
    "acceptProposal": Said("Carry a proposal out", "采纳并执行经营建议", "goods", "goods.watch"),
    "dismissProposal": Said("Dismiss a proposal", "驳回经营建议", "goods", "goods.watch"),
    "readThresholds": Said("See by what the rules judge", "查看规则阈值", "goods", "goods.watch"),
    "setThresholds": Said("Set by what the rules judge", "设置规则阈值", "goods", "goods.watch"),
    "listPurchases": Said("See the orders at suppliers", "查看采购单", "goods", "goods.watch"),
    "readPurchase": Said("Read an order at a supplier", "查看采购单详情", "goods", "goods.watch"),
    "putPurchase": Said("Make a draft of an order, or change it", "新建或修改采购草稿", "goods", "goods.watch"),
    "orderPurchase": Said("Say that a draft was ordered", "确认已向供应商下单", "goods", "goods.watch"),
    "cancelPurchase": Said("Cancel an order at a supplier", "取消采购单", "goods", "goods.watch"),
    "receivePurchase": Said("Put into stock what arrived", "采购到货入库", "goods", "purchase.receive"),
    "uploadImport": Said("Send a file of goods to be checked, or imported", "上传商品文件以供检查或导入", "bulk", "goods.import"),
    "listImports": Said("List the imports", "查看导入任务列表", "bulk", "goods.import"),
    "readImport": Said("See how far an import is", "查看导入进度", "bulk", "goods.import"),
    "runImport": Said("Import what was checked", "执行已检查的导入", "bulk", "goods.import"),
    "cancelImport": Said("Cancel an import", "取消导入", "bulk", "goods.import"),
    "fetchImportReport": Said(
        "Fetch the sheet with its flaws, to fix and send again", "下载标注问题的表格,修正后重新上传", "bulk", "goods.import"
    ),
    "listImportFlaws": Said("Fetch the bad cells as JSON", "下载问题单元格列表(JSON)", "bulk", "goods.import"),
    "fetchImportFlaws": Said("Fetch the bad cells as CSV", "下载问题单元格列表(CSV)", "bulk", "goods.import"),
    "listImportColumns": Said("See the columns of a sheet", "查看表格各列说明", "bulk", "goods.import"),
    "fetchTemplateCsv": Said("Fetch an empty sheet as CSV", "下载空白模板(CSV)", "bulk", "goods.import"),
    "fetchTemplateWorkbook": Said("Fetch an empty sheet as a workbook", "下载空白模板(Excel)", "bulk", "goods.import"),
    "exportProductsCsv": Said("Export goods as CSV", "导出商品(CSV)", "bulk", "goods.export"),
    "exportProductsWorkbook": Said("Export goods as a workbook", "导出商品(Excel)", "bulk", "goods.export"),
    "listMerchantOrders": Said("See the orders with goods of one's own firm", "查看含本商家商品的订单", "merchant", "merchant.orders"),
}


class Hot(NamedTuple):
    """One operation that the framework does not route."""

    method: str
    path: str
    operation_id: str
    status: int
    answer: Any
    body: Any = None
    query: tuple[dict[str, Any], ...] = ()
    media: str = "application/json"


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


LIST_QUERY: Final = (
    _query("cursor", "`next_cursor` of the page before", type="string", maxLength=200),
    _query("limit", "products of one page", type="integer", minimum=1, maximum=100, default=20),
    _query("sort", "price: from the cheapest on, -price: from the dearest", type="string", enum=["id", "newest", "price", "-price"]),
    _query("currency", "prices in this currency (ISO 4217)", type="string", pattern="^[A-Z]{3}$"),
    _query("category", "products of one category alone, by its code", type="string", maxLength=100),
    _query("category_id", "products of a category and of all below it", type="string", maxLength=100),
    _query("brand_id", "products of one brand", type="string", maxLength=100),
    _query("tag", "products with this tag", type="string", maxLength=100),
)
PRODUCT_QUERY: Final = (_query("currency", "prices in this currency (ISO 4217)", type="string", pattern="^[A-Z]{3}$"),)

_SEVERAL: Final[dict[str, Any]] = {"type": "array", "items": {"type": "string", "maxLength": 200}, "maxItems": 20}
SEARCH_QUERY: Final = (
    _query("q", "what is searched for; nothing is everything", type="string", maxLength=100),
    _query("category", "products of these categories, or of those below them", **_SEVERAL),
    _query("brand", "products of these brands", **_SEVERAL),
    _query("tag", "products with one of these tags", **_SEVERAL),
    _query("attr.{attribute_id}", "products with one of these values of an attribute; up to ten attributes", **_SEVERAL),
    _query("price_min", "minor units", type="integer", minimum=0, maximum=10**13),
    _query("price_max", "minor units", type="integer", minimum=0, maximum=10**13),
    _query("in_stock", "only what is (true) or is not (false) in stock", type="boolean"),
    _query("sort", "the order", type="string", enum=["relevance", "price", "-price", "newest", "sales"], default="relevance"),
    _query("cursor", "`next_cursor` of the page before", type="string", maxLength=200),
    _query("limit", "products of one page", type="integer", minimum=1, maximum=100, default=20),
)
SUGGEST_QUERY: Final = ({**_query("q", "what has been typed so far", type="string", minLength=1, maxLength=50), "required": True},)

DURABLE: Final = (_query("durable", "1: answer when the events are on the disk", type="integer", enum=[0, 1], default=0),)

HOT: Final = (
    Hot("get", "/v1/products", "listProducts", 200, ProductPage, query=LIST_QUERY),
    Hot("get", "/v1/search", "searchProducts", 200, SearchPage, query=SEARCH_QUERY),
    Hot("get", "/v1/suggest", "suggest", 200, Suggestions, query=SUGGEST_QUERY),
    Hot("get", "/v1/products/{product_id}", "readProduct", 200, Product),
    Hot("get", "/v1/products/{product_id}", "readProduct", 200, Product, query=PRODUCT_QUERY),
    Hot("get", "/v1/categories", "listCategories", 200, CategoryTree),
    Hot("get", "/v1/flash-sales/{sale_id}", "readSale", 200, SalePage),
    Hot("get", "/media/{image_id}/{image_file}", "readImage", 200, bytes, media="image/webp"),
    Hot("post", "/v1/flash-sales/{sale_id}/orders", "placeFlashOrder", 201, OrderPlaced, FlashOrder),
    Hot("get", "/v1/cart/events", "watchCart", 200, Cart, media="text/event-stream"),
    Hot("post", "/v1/events", "sendEvents", 202, EventsTaken, EventBatch, query=DURABLE),
    Hot("get", "/healthz", "liveness", 200, Health),
)
BENCH: Final = Hot("post", "/bench/empty", "benchEmpty", 200, dict[str, str])
