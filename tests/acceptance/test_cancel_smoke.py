def test_a_canceled_order_is_voided_restocked_and_mailed(shop):
    shop.put_stock("SMOKE", 10)
    purchase = shop.buy(lines=[{"sku": "SMOKE", "quantity": 2, "unit_price": 1500, "tax_rate": "0.10"}])
    answer = shop.cancel(purchase)
    assert answer.status_code == 200, answer.text
    assert shop.ledger(purchase.reference)[-1] == "payment_intent.canceled"
    assert shop.stock("SMOKE") == 10
